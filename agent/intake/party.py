"""Who imports, and to whom rows are sealed: from key files, pins and settings, never from a gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from agent.errors import KeyNotFound, RecipientUnknown
from agent.keys import Secp256k1Key, list_keys
from agent.profile import hpke_key, read_table
from agent.store import load_pins
from protocol import expect
from protocol.case_batch import BatchRecipient
from protocol.errors import MalformedInput

PINS = ("agent", "hpke-pins.json")
SETTING = "intake_to"


def organisation_of(home: Path, given: int | None) -> int:
    """The organisation whose claims are imported: as given, or that of the setting `key`, or the one that all
    act keys here belong to.

    Raises:
        KeyNotFound, MalformedInput
    """
    if given is not None:
        return expect.uint(given, "organisation", expect.UINT32_MAX, minimum=1)
    by_name = {
        key.label.name: key.label.organisation
        for key in list_keys(home / "keys")
        if isinstance(key, Secp256k1Key) and key.label.purpose == "act" and key.label.organisation
    }
    named = by_name.get(str(read_table(home).get("key")))
    found = set(by_name.values()) if named is None else {named}
    if len(found) != 1:
        raise KeyNotFound(
            f"act keys of {len(found)} organisations here",
            field="organisation",
            hint="--organisation N",
        )
    return int(found.pop() or 0)


def act_key_name(home: Path, organisation: int) -> str:
    """Name of an organisation's act key: the setting `key` if it is one of them, else the only one.

    Raises:
        KeyNotFound
    """
    found = [
        key.label.name
        for key in list_keys(home / "keys")
        if isinstance(key, Secp256k1Key)
        and (key.label.purpose, key.label.organisation) == ("act", organisation)
    ]
    wanted = read_table(home).get("key")
    if wanted in found:
        return str(wanted)
    if len(found) != 1:
        raise KeyNotFound(
            f"{len(found)} act keys of organisation {organisation} here", field="key", hint="--key NAME"
        )
    return found[0]


def recipients_of(home: Path, own: int, wanted: Sequence[int]) -> tuple[BatchRecipient, ...]:
    """Those named, or of the setting `intake_to`, by their pinned keys; and the institution itself if it has
    a key of its own. Each once, by index.

    Raises:
        RecipientUnknown: nobody named, or somebody whose key is not pinned.
        MalformedInput
    """
    named = list(wanted) or read_table(home).get(SETTING) or []
    if not isinstance(named, list):
        raise MalformedInput(f"{SETTING}: a list of organisation indexes", field=SETTING)
    others = [expect.uint(one, SETTING, expect.UINT32_MAX, minimum=1) for one in named]
    if not set(others) - {own}:
        raise RecipientUnknown(
            "rows are sealed to the data holder: nobody is named",
            field="to",
            hint=f"--to N, or {SETTING} = [N] in table [agent] of caseledger.toml",
        )
    pins = load_pins(home.joinpath(*PINS))
    found = {}
    for index in others:
        if index not in pins:
            raise RecipientUnknown(
                f"organisation {index} has no pinned key",
                field="to",
                hint=f"put its key into {'/'.join(PINS)}, taken from the trust file or from its owner",
            )
        found[index] = pins[index]
    with contextlib.suppress(KeyNotFound):
        found.setdefault(own, hpke_key(home, None, own).public_key)
    return tuple(BatchRecipient(index, key) for index, key in sorted(found.items()))
