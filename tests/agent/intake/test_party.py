"""Whose claims are imported, and to whom rows are sealed: from files of the home alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import KeyNotFound, RecipientUnknown
from agent.intake.party import PINS, organisation_of, recipients_of
from agent.keys import KeyLabel, X25519Key, new_key, save_key
from agent.profile import hpke_key
from agent.store import load_pins, save_pins

BANK, OTHER, CENTRE = 5, 6, 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that holds keys of several organisations, as a development home does."""
    for name, organisation in (("a", BANK), ("b", OTHER)):
        save_key(new_key("secp256k1", KeyLabel(f"{name}-act", "act", organisation)), tmp_path / "keys")
        save_key(new_key("x25519", KeyLabel(f"{name}-hpke", "content", organisation)), tmp_path / "keys")
    return tmp_path


def settings(home: Path, text: str) -> None:
    (home / "caseledger.toml").write_text(f"[agent]\n{text}\n", encoding="utf-8")


def test_of_several_organisations_it_is_the_one_of_the_settings(home: Path) -> None:
    with pytest.raises(KeyNotFound):
        organisation_of(home, None)
    settings(home, 'key = "b-act"')
    assert organisation_of(home, None) == OTHER
    assert organisation_of(home, BANK) == BANK
    settings(home, 'key = "somebody-else"')
    with pytest.raises(KeyNotFound):
        organisation_of(home, None)


def test_recipients_are_those_of_the_settings_under_their_pinned_keys(home: Path) -> None:
    with pytest.raises(RecipientUnknown):
        recipients_of(home, BANK, ())
    settings(home, f"intake_to = [{CENTRE}]")
    with pytest.raises(RecipientUnknown):
        recipients_of(home, BANK, ())
    pinned = bytes(range(32))
    save_pins(home.joinpath(*PINS), {CENTRE: pinned})
    assert load_pins(home.joinpath(*PINS)) == {CENTRE: pinned}
    own = hpke_key(home, None, BANK)
    assert isinstance(own, X25519Key)
    found = {one.organisation: one.public_key for one in recipients_of(home, BANK, ())}
    assert found == {CENTRE: pinned, BANK: own.public_key}


def test_the_sealing_key_of_the_settings_is_not_another_organisations(home: Path) -> None:
    settings(home, 'hpke_key = "a-hpke"')
    assert hpke_key(home, None, BANK).label.name == "a-hpke"
    assert hpke_key(home, None, OTHER).label.name == "b-hpke"
    assert hpke_key(home, "a-hpke", OTHER).label.name == "a-hpke"
    with pytest.raises(KeyNotFound):
        hpke_key(home, None, CENTRE)
