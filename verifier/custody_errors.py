"""What a custody sheet is refused for (docs/spec/custody.md §6). `field` names the event."""

from __future__ import annotations

from protocol.errors import MalformedInput
from verifier.errors import ProofRefused


class MalformedCustody(MalformedInput):
    title = "custody sheet malformed"


class CustodyOtherItem(ProofRefused):
    title = "the custody sheet, or an event in it, is of another item"


class CustodyLogNotTrusted(ProofRefused):
    title = "not a custody log of this operator that the trust file names"


class CustodyGap(ProofRefused):
    title = "a custody event is missing"


class CustodyReordered(ProofRefused):
    title = "the custody events stand in another order than they were recorded in"


class CustodyChanged(ProofRefused):
    title = "a custody event is not the one that the next one continues"


class CustodyCountMismatch(ProofRefused):
    title = "the log states another number of custody events than is shown"


class CustodyHeadMismatch(ProofRefused):
    title = "the log states another last custody event than is shown"


class CustodyAfterAnchor(ProofRefused):
    title = "a custody event later than its anchor"


class CustodyBeyondCheckpoint(ProofRefused):
    title = "a custody event behind the size that the log states"


class CustodyCheckpointMismatch(ProofRefused):
    title = "the log states other roots than its anchored ones"


class CustodyEventWithheld(ProofRefused):
    title = "the log states fewer custody events than are proved"
