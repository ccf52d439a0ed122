"""Refusals of the upload service."""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import CaseledgerError


class UploadRefused(CaseledgerError):
    """Base of this room's errors."""

    title = "upload refused"


class TusVersionUnsupported(UploadRefused):
    """No header `Tus-Resumable: 1.0.0`."""

    http_status: ClassVar[int] = 412
    title = "another version of the upload protocol"


class UploadHeaderInvalid(UploadRefused):
    """A header of the upload protocol that is missing, repeated or malformed."""

    title = "upload header not usable"


class UploadUnknown(UploadRefused):
    """Nothing that this organisation uploaded has this id; or it has expired, or was taken away."""

    http_status: ClassVar[int] = 404
    title = "no such upload"


class UploadOffsetWrong(UploadRefused):
    """The data does not go on where the upload stands."""

    http_status: ClassVar[int] = 409
    title = "not the offset of this upload"


class UploadLocked(UploadRefused):
    """Another request writes to this upload."""

    http_status: ClassVar[int] = 423
    retryable = True
    title = "upload in use"


class UploadChecksumWrong(UploadRefused):
    """What arrived has another checksum than its header says; nothing of it was kept."""

    http_status: ClassVar[int] = 460
    retryable = True
    title = "checksum mismatch"


class UploadTooLarge(UploadRefused):
    """Larger than this service takes, or more bytes than were announced."""

    http_status: ClassVar[int] = 413
    title = "upload too large"


class UploadTooSlow(UploadRefused):
    """The data came slower than this service waits; what arrived is kept."""

    http_status: ClassVar[int] = 408
    retryable = True
    title = "upload too slow"


class UploadCutOff(UploadRefused):
    """The connection ended before the request did; what arrived is kept."""

    retryable = True
    title = "upload cut off"


class UploadsExhausted(UploadRefused):
    """The organisation has as many unfinished uploads, or as many bytes, as it may have."""

    http_status: ClassVar[int] = 429
    retryable = True
    title = "too many uploads"


class UploadNotWhole(UploadRefused):
    """The file is not here to its end yet."""

    http_status: ClassVar[int] = 409
    title = "upload not finished"


class UploadNotChecked(UploadRefused):
    """The file has not been looked at yet."""

    http_status: ClassVar[int] = 409
    retryable = True
    title = "upload not checked yet"


class UploadClosed(UploadRefused):
    """The import was confirmed: the bank's file is no longer here, or about to go."""

    http_status: ClassVar[int] = 409
    title = "upload already confirmed"


class PreviewDiffers(UploadRefused):
    """The confirmation names another preview than the file gives now."""

    http_status: ClassVar[int] = 409
    title = "not the preview that was confirmed"


class IntakeSettingsInvalid(UploadRefused):
    """The table `[intake]` of `caseledger.toml` is malformed or names nobody."""

    title = "intake settings refused"


class IntakeInUse(UploadRefused):
    """Another intake process works in this home."""

    retryable = True
    title = "intake already running"
