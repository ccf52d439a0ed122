"""What is kept of an upload, without HTTP: by the byte, by the second, by the organisation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake_server.errors import (
    IntakeInUse,
    IntakeSettingsInvalid,
    UploadLocked,
    UploadOffsetWrong,
    UploadsExhausted,
    UploadTooLarge,
    UploadUnknown,
)
from intake_server.settings import read_settings
from intake_server.shelf import Limits, Shelf


class Clock:
    """Stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def shelf_at(folder: Path, limits: Limits | None = None, clock: Clock | None = None) -> Shelf:
    return Shelf(folder, limits or Limits(), clock or Clock())


def test_only_what_was_kept_counts(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    upload = shelf.create(7, 10, {})
    with shelf.writing(upload, 0, atomic=True) as writer:
        writer.write(b"12345")
    assert shelf.offset(upload) == 0
    with shelf.writing(upload, 0, atomic=True) as writer:
        writer.write(b"abc")
        assert writer.keep() == 3
    again = shelf_at(tmp_path)
    assert again.offset(again.find(7, upload.id)) == 3
    assert again.data(upload).read_bytes()[:3] == b"abc"
    with pytest.raises(UploadOffsetWrong), again.writing(upload, 2, atomic=False):
        pass


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(["keep", "break", "kill"])), max_size=12))
def test_the_file_is_what_was_promised(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, str]]
) -> None:
    """Whatever breaks between: the bytes below the offset are those that were kept, in order."""
    folder = tmp_path_factory.mktemp("shelf")
    shelf = shelf_at(folder)
    upload = shelf.create(7, 1000, {"filename": "x.csv"})
    kept = b""
    for data, how in steps:
        with shelf.writing(upload, len(kept), atomic=how == "break") as writer:
            writer.write(data)
            if how == "keep":
                writer.keep()
                kept += data
        if how == "kill":
            shelf = shelf_at(folder)
        assert shelf.offset(upload) == len(kept)
        assert shelf.data(upload).read_bytes()[: len(kept)] == kept


def test_the_room_of_an_organisation_ends(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path, Limits(file=100, uploads=2, total=150))
    with pytest.raises(UploadTooLarge):
        shelf.create(7, 101, {})
    first = shelf.create(7, 100, {})
    with pytest.raises(UploadsExhausted):
        shelf.create(7, 51, {})
    shelf.create(7, 50, {})
    with pytest.raises(UploadsExhausted):
        shelf.create(7, 0, {})
    shelf.create(8, 100, {})
    shelf.remove(first)
    shelf.create(7, 100, {})


def test_it_expires_whatever_was_sent(tmp_path: Path) -> None:
    clock = Clock()
    shelf = shelf_at(tmp_path, Limits(lifetime=60), clock)
    upload = shelf.create(7, 10, {})
    clock.now += 59
    assert shelf.find(7, upload.id) == upload
    assert shelf.expire() == 0
    clock.now += 1
    with pytest.raises(UploadUnknown):
        shelf.find(7, upload.id)
    assert shelf.expire() == 1
    assert not list(tmp_path.glob("7/*"))


@pytest.mark.parametrize("name", ["", "..", "../8", "0" * 31, "0" * 33, "G" * 32, "0" * 32, "%2e%2e"])
def test_no_other_name_leads_anywhere(tmp_path: Path, name: str) -> None:
    shelf = shelf_at(tmp_path)
    shelf.create(7, 10, {})
    with pytest.raises(UploadUnknown):
        shelf.find(7, name)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    upload = shelf.create(7, 10, {})
    with shelf.writing(upload, 0, atomic=False):
        with pytest.raises(UploadLocked), shelf.writing(upload, 0, atomic=False):
            pass
        with pytest.raises(UploadLocked):
            shelf.remove(upload)
    with shelf.alone(), pytest.raises(IntakeInUse), shelf_at(tmp_path).alone():
        pass


def test_the_name_of_a_file_is_not_kept(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    upload = shelf.create(7, 10, {"filename": "张三 JK-1.XLSX", "sheet": "明细"})
    assert (upload.suffix, upload.wishes) == (".xlsx", {"sheet": "明细"})
    assert shelf.create(7, 10, {"filename": "../../etc/passwd"}).suffix == ""
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "张三".encode() not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("table", "host"),
    [
        ("", "127.0.0.1"), ("organisations = []", "127.0.0.1"), ("organisations = [0]", "127.0.0.1"),
        ("organisations = [true]", "127.0.0.1"), ("organisations = [7]\nmax_file = 0", "127.0.0.1"),
        ("organisations = [7]\nmaximum = 1", "127.0.0.1"), ("organisations = [7]", "192.0.2.1"),
        ("organisations = [", "127.0.0.1"),
    ],
)  # fmt: skip
def test_settings_that_say_too_little_start_nothing(tmp_path: Path, table: str, host: str) -> None:
    (tmp_path / "caseledger.toml").write_text("[intake]\n" + table)
    with pytest.raises(IntakeSettingsInvalid):
        read_settings(tmp_path, host, 8795)


def test_settings(tmp_path: Path) -> None:
    (tmp_path / "caseledger.toml").write_text("[intake]\norganisations = [7, 9]\nlifetime = 60\n")
    found = read_settings(tmp_path, "127.0.0.1", 8795)
    assert found.organisations == {7, 9}
    assert found.audience == "http://127.0.0.1:8795"
    assert found.limits == Limits(lifetime=60)
