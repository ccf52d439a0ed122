"""Headers of the upload protocol: read as the specification has them, everything else refused by name."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_server.app import Pace
from intake_server.errors import TusVersionUnsupported, UploadHeaderInvalid, UploadTooSlow
from intake_server.tus import ALGORITHMS, METADATA_KEYS, Headers
from protocol.errors import CaseledgerError


def headers(**values: str) -> Headers:
    return Headers(
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in values.items()
    )


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize("value", ["", "0.2.2", "1.0.0,0.2.2", "1.0", " 1.0.0.0"])
def test_another_version_is_refused(value: str) -> None:
    with pytest.raises(TusVersionUnsupported):
        headers(Tus_Resumable=value).version()
    with pytest.raises(TusVersionUnsupported):
        Headers([]).version()
    headers(tus_resumable="1.0.0").version()


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "01", "1.0", "1e3", "0x10", "１", " ", "1_000", "9" * 17, "1, 1"]
)
def test_a_number_is_plain(value: str) -> None:
    given_headers = Headers([(b"upload-offset", value.encode())])
    with pytest.raises(UploadHeaderInvalid):
        given_headers.number("Upload-Offset")


def test_a_header_that_stands_twice_is_refused() -> None:
    twice = Headers([(b"Upload-Offset", b"0"), (b"upload-offset", b"5")])
    with pytest.raises(UploadHeaderInvalid):
        twice.number("Upload-Offset")


def test_metadata_keeps_what_means_something() -> None:
    value = f"filename {b64('明细 11月.xlsx')},rows {b64('200')}, colour {b64('red')},sheet"
    assert headers(Upload_Metadata=value).metadata() == {
        "filename": "明细 11月.xlsx", "rows": "200", "sheet": "",
    }  # fmt: skip
    assert Headers([]).metadata() == {}


@pytest.mark.parametrize(
    "value",
    [
        "rows MQ==,rows Mg==", "rows M", "rows MQ==x", "rows MQ== MQ==", ",", "rows MQ==,", "ro\tws MQ==",
        "é MQ==", "sheet " + b64(b"\xff\xfe"), "sheet " + b64("a\nb"), "k" * 65 + " MQ==",
        "rows " + "A" * 5000,
    ],
)  # fmt: skip
def test_other_metadata_is_refused(value: str) -> None:
    with pytest.raises(UploadHeaderInvalid):
        headers(Upload_Metadata=value).metadata()


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_checksum_holds_for_its_data_alone(name: str) -> None:
    digest = hashlib.new(name, b"rows").digest()
    for data, holds in ((b"rows", True), (b"rowz", False), (b"", False)):
        checksum = headers(Upload_Checksum=f"{name} {b64(digest)}").checksum()
        assert checksum is not None
        checksum.update(data)
        assert checksum.holds() is holds


@pytest.mark.parametrize(
    "value", ["", "sha1", "sha1 ", "md5 " + b64(bytes(16)), "sha1 " + b64(bytes(32)), "sha256 ??"]
)
def test_other_checksums_are_refused(value: str) -> None:
    with pytest.raises(UploadHeaderInvalid):
        headers(Upload_Checksum=value).checksum()


def test_a_post_stands_for_what_a_proxy_stops() -> None:
    assert headers(X_HTTP_Method_Override="PATCH").method("POST") == "PATCH"
    for method, override in (("GET", "DELETE"), ("POST", "CONNECT"), ("POST", "")):
        with pytest.raises(UploadHeaderInvalid):
            headers(X_HTTP_Method_Override=override).method(method)


NAMES = st.sampled_from(
    [b"Upload-Metadata", b"Upload-Checksum", b"Upload-Offset", b"Tus-Resumable", b"X-HTTP-Method-Override"]
)
NEARLY = st.text(alphabet=" ,=abcdAQ09+/sha1256rows", max_size=60).map(str.encode)


@given(st.lists(st.tuples(NAMES, st.one_of(st.binary(max_size=80), NEARLY))))
def test_any_bytes_are_read_or_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    found = Headers(pairs)

    def tried(read: object) -> object:
        try:
            return read()  # type: ignore[operator]
        except CaseledgerError:
            return None

    tried(found.version)
    tried(lambda: found.method("POST"))
    tried(found.checksum)
    number = tried(lambda: found.number("Upload-Offset"))
    assert number is None or (isinstance(number, int) and 0 <= number < 10**16)
    metadata = tried(found.metadata)
    assert metadata is None or (isinstance(metadata, dict) and set(metadata) <= METADATA_KEYS)


def test_a_body_may_be_slow_for_a_while_only() -> None:
    pace = Pace(grace=20.0, rate=1000.0)
    pace.check(20.0, 0)
    pace.check(30.0, 10_000)
    with pytest.raises(UploadTooSlow):
        pace.check(30.0, 9_999)
