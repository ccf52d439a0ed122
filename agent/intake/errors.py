"""What stops a whole file. What is wrong with one row is a defect: `rules.py`."""

from __future__ import annotations

from typing import ClassVar

from agent.errors import AgentError


class ImportRefused(AgentError):
    """Base of the errors of an import."""

    title: ClassVar[str] = "file not imported"


class FormatUnknown(ImportRefused):
    """Neither XLSX nor CSV nor JSON lines, or another kind than its name says."""

    title: ClassVar[str] = "format not known"


class FileTooLarge(ImportRefused):
    """More bytes, rows or columns than an import takes."""

    http_status: ClassVar[int] = 413
    title: ClassVar[str] = "file too large"


class FileDamaged(ImportRefused):
    """Truncated, or its container or syntax is broken; nothing after the damage could be trusted."""

    title: ClassVar[str] = "file damaged or cut off"


class FileEmpty(ImportRefused):
    """No row of data."""

    title: ClassVar[str] = "no rows"


class WorkbookEncrypted(ImportRefused):
    """A workbook with a password; nobody could look into it."""

    title: ClassVar[str] = "workbook is encrypted"


class WorkbookActive(ImportRefused):
    """A workbook with macros, embedded objects or controls."""

    title: ClassVar[str] = "workbook holds code or objects"


class WorkbookLinked(ImportRefused):
    """A workbook that takes values from other files or from a network."""

    title: ClassVar[str] = "workbook links to other sources"


class WorkbookBomb(ImportRefused):
    """Unpacks to more than a workbook of rows can be, or nests too deeply."""

    http_status: ClassVar[int] = 413
    title: ClassVar[str] = "workbook unpacks to too much"


class WorkbookUnusual(ImportRefused):
    """Valid perhaps, but not as spreadsheet programs write it."""

    title: ClassVar[str] = "workbook of an unusual form"


class SheetUnknown(ImportRefused):
    """No sheet of that name, or none that is visible."""

    title: ClassVar[str] = "no such sheet"


class ReaderStopped(ImportRefused):
    """The process that reads workbooks ended without an answer: memory or time ran out, or it was stopped."""

    title: ClassVar[str] = "reading the workbook was stopped"


class EncodingUnknown(ImportRefused):
    """Neither UTF-8 nor GB18030."""

    title: ClassVar[str] = "text encoding not known"


class EncodingMismatch(ImportRefused):
    """The text is in another encoding than was declared."""

    title: ClassVar[str] = "text is in another encoding than declared"


class ColumnsMissing(ImportRefused):
    """Required columns have no heading that is known."""

    title: ClassVar[str] = "columns missing"


class HeadingRepeated(ImportRefused):
    """Two columns mean the same."""

    title: ClassVar[str] = "two columns mean the same"


class MappingInvalid(ImportRefused):
    """A saved mapping that names no such column, or is not TOML."""

    title: ClassVar[str] = "mapping not usable"


class DeclaredMismatch(ImportRefused):
    """Fewer or more rows, or another sum, than the sender declared: the file may be cut off or mixed up."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "rows or sum differ from the declared"


class DeclarationInvalid(ImportRefused):
    """A declared count or sum that cannot be read, or two that differ."""

    title: ClassVar[str] = "declared count or sum not usable"


class NothingToImport(ImportRefused):
    """No row is both new and without defect."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "nothing to import"


class BatchUnknown(ImportRefused):
    """No such batch in this home."""

    http_status: ClassVar[int] = 404
    title: ClassVar[str] = "no such batch"


class BatchBusy(ImportRefused):
    """Another process of this organisation is making a batch."""

    http_status: ClassVar[int] = 409
    retryable: ClassVar[bool] = True
    title: ClassVar[str] = "another import is under way"


class BatchSourceGone(ImportRefused):
    """The file of an unfinished batch is not there any more, or is another one."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "file of the unfinished batch is not there"


class BatchUnfinished(ImportRefused):
    """An interrupted batch is finished or dropped before another begins: their contracts might overlap."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "an earlier batch is not finished"


class BatchSent(ImportRefused):
    """A batch that a gateway has taken cannot be dropped here."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "batch was sent"


class BatchWithoutTotals(ImportRefused):
    """A batch whose sums were not kept when it was made."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "batch has no totals"


class BatchNotTaken(ImportRefused):
    """The gateway or the chain refuses the batch, for good."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "batch not taken"


class BatchNotInTime(ImportRefused):
    """The act is on its way; nothing is lost."""

    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    title: ClassVar[str] = "the chain does not show the batch yet"


class BatchRecalled(ImportRefused):
    """The institution took it back; a root is imported once."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "batch was recalled"
