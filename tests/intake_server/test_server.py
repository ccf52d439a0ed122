"""The service over HTTP, as a process of its own: broken connections, kills, other people's files, liars."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
import socket
import time
from typing import Any

import httpx
import pytest

from protocol.case_totals import BatchTotals
from tests.intake_server.conftest import CENTRE, OTHER_BANK, STRANGER, TUS, IntakeProcess
from tests.support.intake import csv_bytes, good

pytestmark = pytest.mark.timeout(600)  # four starts of a process; on a busy machine a minute each
DATA = {**TUS, "Content-Type": "application/offset+octet-stream"}
ROWS = csv_bytes([good(number) for number in range(1, 41)])
BAD = csv_bytes([*(good(number) for number in range(1, 11)), good(11, total="1.00"), good(12, phone="12")])


def meta(**values: str) -> dict[str, str]:
    pairs = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
    return {"Upload-Metadata": ",".join(pairs)}


def create(client: httpx.Client, length: int, **metadata: str) -> str:
    answer = client.post(
        "/v1/uploads", headers={"Upload-Length": str(length), **meta(**{"filename": "明细.csv", **metadata})}
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" in answer.headers
    return str(answer.headers["location"])


def patch(client: httpx.Client, place: str, offset: int, data: bytes, **headers: str) -> httpx.Response:
    return client.patch(place, content=data, headers={**DATA, "Upload-Offset": str(offset), **headers})


def offset_of(client: httpx.Client, place: str) -> int:
    answer = client.head(place)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"


def until(client: httpx.Client, place: str, *states: str) -> dict[str, Any]:
    for _ in range(3000):
        found: dict[str, Any] = client.get(place + "/state").json()
        if found["state"] in states:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def upload(client: httpx.Client, data: bytes, **metadata: str) -> str:
    place = create(client, len(data), **metadata)
    assert patch(client, place, 0, data).status_code == 204
    return place


def files_under(intake: IntakeProcess, organisation: str) -> bytes:
    """All that is kept of an organisation, its uploads and its batches."""
    found = [path for path in intake.home.rglob("*") if path.is_file() and organisation in path.parts]
    assert found
    return b"".join(path.read_bytes() for path in found)


def test_what_the_service_can_is_told_without_login(intake: IntakeProcess) -> None:
    answer = httpx.options(intake.url + "/v1/uploads", trust_env=False)
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"].split(",") == ["creation", "expiration", "checksum", "termination"]
    assert answer.headers["tus-max-size"] == "20000000"
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


def test_from_file_to_sealed_batch(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = upload(client, BAD)
        shown = until(client, place, "checked")
        assert (shown["summary"]["new"], shown["summary"]["defective"]) == (10, 2)
        assert "JK-2025" not in json.dumps(shown, ensure_ascii=False)
        back = client.get(place + "/errors")
        rows = list(csv.reader(io.StringIO(back.content.decode("utf-8-sig"))))
        assert [bool(row[-1]) for row in rows[1:]] == [False] * 10 + [True] * 2

        refused(client.post(place + "/confirm", json={"preview": "0" * 64}), 409, "PreviewDiffers")
        answer = client.post(place + "/confirm", json={"preview": shown["preview"]})
        assert answer.status_code == 202
        sealed = until(client, place, "sealed")
        assert sealed["count"] == 10
        # The same again changes nothing.
        assert client.post(place + "/confirm", json={"preview": shown["preview"]}).json()["state"] == "sealed"
        batch = client.get("/v1/batches/" + sealed["batch"]).json()
        assert (batch["state"], batch["root"], batch["count"]) == ("READY", sealed["root"], 10)
        signed = batch["import"]
        totals = BatchTotals.parse(bytes.fromhex(signed["totalsOpening"]))
        assert (signed["root"], signed["count"], signed["totals"]) == (
            sealed["root"], 10, totals.commitment.hex(),
        )  # fmt: skip
        file = client.get(f"/v1/batches/{sealed['batch']}/file").content
        assert file.startswith(b"caseledger-batch/v1\n")
        assert len(file) == batch["length"]
        # Nothing of the bank's file is left: not its rows, not its copy with errors.
        refused(client.get(place + "/errors"), 404, "UploadUnknown")
        left = files_under(intake, str(intake.bank))
        for trace in ("示例甲", "JK-2025-0001", good(1)["identity_no"], "明细"):
            assert trace.encode() not in left
        refused(patch(client, place, len(BAD), b"x"), 409, "UploadClosed")


def test_a_broken_connection_goes_on_where_it_stood(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = create(client, len(ROWS))
        with socket.create_connection(("127.0.0.1", intake.port)) as raw:
            head = (
                f"PATCH {place} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
                f"Authorization: {client.headers['authorization']}\r\nContent-Length: {len(ROWS)}\r\n"
                "Content-Type: application/offset+octet-stream\r\n\r\n"
            )
            raw.sendall(head.encode() + ROWS[:777])
        for _ in range(100):
            if offset_of(client, place) == 777:
                break
            time.sleep(0.05)
        refused(patch(client, place, 0, ROWS), 409, "UploadOffsetWrong")
        refused(patch(client, place, 776, ROWS[776:]), 409, "UploadOffsetWrong")
        assert patch(client, place, 777, ROWS[777:]).headers["upload-offset"] == str(len(ROWS))
        assert until(client, place, "checked")["summary"]["new"] == 40


def test_kills_lose_nothing(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = create(client, len(ROWS))
        assert patch(client, place, 0, ROWS[:1000]).status_code == 204
        intake.kill()
        intake.start()
        assert offset_of(client, place) == 1000
        assert patch(client, place, 1000, ROWS[1000:]).status_code == 204
        intake.kill()
        intake.start()
        shown = until(client, place, "checked")
        assert client.post(place + "/confirm", json={"preview": shown["preview"]}).status_code == 202
        intake.kill()
        intake.start()
        sealed = until(client, place, "sealed")
        assert sealed["count"] == 40
        # The same file again is known to its last row: nothing new, and no second batch.
        again = upload(client, ROWS)
        shown = until(client, again, "checked")
        assert shown["summary"]["known"] == {sealed["batch"]: 40}
        client.post(again + "/confirm", json={"preview": shown["preview"]})
        assert until(client, again, "sealed")["batch"] is None


def test_bytes_that_were_never_synced_do_not_count(intake: IntakeProcess) -> None:
    """As a machine leaves it that lost power: the file is longer than what was promised."""
    with intake.client() as client:
        place = create(client, len(ROWS))
        patch(client, place, 0, ROWS[:1000])
        intake.kill()
        (data,) = intake.home.glob(f"intake/uploads/{intake.bank}/*/data.csv")
        data.write_bytes(ROWS[:1000] + b"\0" * 500)
        intake.start()
        assert offset_of(client, place) == 1000
        assert patch(client, place, 1000, ROWS[1000:]).status_code == 204
        assert until(client, place, "checked")["summary"]["new"] == 40


def test_a_checksum_counts_all_or_nothing(intake: IntakeProcess) -> None:
    def sum_of(data: bytes) -> str:
        return "sha1 " + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()

    with intake.client() as client:
        place = create(client, len(ROWS))
        wrong = patch(client, place, 0, ROWS[:500], **{"Upload-Checksum": sum_of(b"other")})
        refused(wrong, 460, "UploadChecksumWrong")
        assert offset_of(client, place) == 0
        assert (
            patch(client, place, 0, ROWS[:500], **{"Upload-Checksum": sum_of(ROWS[:500])}).status_code == 204
        )
        refused(
            patch(client, place, 500, b"x", **{"Upload-Checksum": "crc32 AAAA"}), 400, "UploadHeaderInvalid"
        )
        assert offset_of(client, place) == 500


def test_more_than_announced_or_allowed_is_refused(intake: IntakeProcess) -> None:
    with intake.client() as client:
        answer = client.post("/v1/uploads", headers={"Upload-Length": "20000001"})
        refused(answer, 413, "UploadTooLarge")
        place = create(client, 10)
        refused(patch(client, place, 0, b"x" * 11), 413, "UploadTooLarge")

        def endless() -> Any:
            yield b"x" * 8
            yield b"x" * 8

        answer = client.patch(place, content=endless(), headers={**DATA, "Upload-Offset": "0"})
        refused(answer, 413, "UploadTooLarge")
        assert offset_of(client, place) <= 10
        for _ in range(2):
            create(client, 10)
        answer = client.post("/v1/uploads", headers={"Upload-Length": "10"})
        refused(answer, 429, "UploadsExhausted")
        assert client.delete(place).status_code == 204
        refused(client.get(place + "/state"), 404, "UploadUnknown")
        create(client, 10)


def test_who_sends_nothing_is_let_go_and_keeps_what_came(intake: IntakeProcess) -> None:
    with intake.client() as client, socket.create_connection(("127.0.0.1", intake.port)) as raw:
        place = create(client, len(ROWS))
        head = (
            f"PATCH {place} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
            f"Authorization: {client.headers['authorization']}\r\nContent-Length: {len(ROWS)}\r\n"
            "Content-Type: application/offset+octet-stream\r\n\r\n"
        )
        raw.sendall(head.encode() + ROWS[:100])
        time.sleep(0.5)
        refused(patch(client, place, 0, ROWS), 423, "UploadLocked")
        refused(client.delete(place), 423, "UploadLocked")
        raw.settimeout(30)
        assert b"408" in raw.recv(4096).split(b"\r\n", 1)[0]
        assert patch(client, place, 100, ROWS[100:]).status_code == 204


def test_nobody_sees_what_another_uploaded(intake: IntakeProcess) -> None:
    with intake.client() as mine, intake.client(OTHER_BANK) as other, intake.client(STRANGER) as stranger:
        place = upload(mine, ROWS)
        shown = until(mine, place, "checked")
        for answer in (
            other.get(place + "/state"), other.get(place + "/errors"), patch(other, place, 0, b"x"),
            other.delete(place), other.post(place + "/confirm", json={"preview": shown["preview"]}),
        ):  # fmt: skip
            refused(answer, 404, "UploadUnknown")
        assert other.head(place).status_code == 404
        mine.post(place + "/confirm", json={"preview": shown["preview"]})
        batch = until(mine, place, "sealed")["batch"]
        refused(other.get("/v1/batches/" + batch), 404, "BatchUnknown")
        refused(other.get(f"/v1/batches/{batch}/file"), 404, "BatchUnknown")
        refused(stranger.post("/v1/uploads", headers={"Upload-Length": "1"}), 403, "Forbidden")
        nobody = httpx.post(
            intake.url + "/v1/uploads", headers={**TUS, "Upload-Length": "1"}, trust_env=False
        )
        refused(nobody, 401, "NotAuthenticated")


def test_another_protocol_version_is_refused(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = create(client, 10)
        for answer in (
            client.post("/v1/uploads", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "1"}),
            patch(client, place, 0, b"x", **{"Tus-Resumable": "2.0.0"}),
        ):
            refused(answer, 412, "TusVersionUnsupported")
            assert answer.headers["tus-version"] == "1.0.0"
        wrong = client.patch(place, content=b"x", headers={"Upload-Offset": "0", "Content-Type": "text/csv"})
        refused(wrong, 415, "UnsupportedMediaType")
        refused(client.put(place), 405, "MethodNotAllowed")
        answer = client.post(place, content=b"0123456789", headers={
            **DATA, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"})  # fmt: skip
        assert answer.status_code == 204


def test_a_file_that_cannot_be_read_is_refused_and_gone(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = upload(client, b"PK\x03\x04 not a workbook", filename="x.xlsx")
        shown = until(client, place, "refused")
        assert shown["error"]["code"]
        assert not list(intake.home.glob(f"intake/uploads/{intake.bank}/*/data*"))
        refused(client.post(place + "/confirm", json={"preview": "0" * 64}), 409, "UploadClosed")
        declared = upload(client, ROWS, rows="41")
        shown = until(client, declared, "checked")
        assert shown["summary"]["mismatches"]
        client.post(declared + "/confirm", json={"preview": shown["preview"]})
        time.sleep(0.2)
        assert until(client, declared, "checked")["error"]["code"] == "DeclaredMismatch"


def test_an_upload_expires_with_all_that_came(intake: IntakeProcess) -> None:
    with intake.client() as client:
        place = upload(client, ROWS)
        until(client, place, "checked")
        intake.kill()
        (note,) = intake.home.glob(f"intake/uploads/{intake.bank}/*/upload.json")
        note.write_text(json.dumps({**json.loads(note.read_text()), "expires": int(time.time()) - 1}))
        intake.start()
        assert client.head(place).status_code == 404
        for _ in range(100):
            if not list(intake.home.glob(f"intake/uploads/{intake.bank}/*")):
                return
            time.sleep(0.1)
        raise AssertionError("still there")


def test_a_second_process_in_the_same_home_ends(intake: IntakeProcess) -> None:
    with pytest.raises(AssertionError), contextlib.closing(IntakeTwin(intake)) as twin:
        twin.start()


class IntakeTwin(IntakeProcess):
    def __init__(self, first: IntakeProcess) -> None:
        self.home, self.port, self.url, self.keys = first.home, first.port, first.url, first.keys
        self._process = None

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()


def test_rows_are_sealed_to_those_that_the_operator_named(intake: IntakeProcess) -> None:
    from protocol import cbor
    from protocol.case_batch import MAGIC, BatchHeader

    with intake.client() as client:
        place = upload(client, ROWS)
        shown = until(client, place, "checked")
        client.post(place + "/confirm", json={"preview": shown["preview"]})
        file = client.get(f"/v1/batches/{until(client, place, 'sealed')['batch']}/file").content
    size = int.from_bytes(file[len(MAGIC) : len(MAGIC) + 4], "big")
    header = BatchHeader.parse(cbor.decode(file[len(MAGIC) + 4 :][:size], max_bytes=size))
    assert header.owner == intake.bank
    assert [one.organisation for one in header.recipients] == [CENTRE]
