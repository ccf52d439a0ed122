"""The gateway's HTTP API for Python. Synchronous; one connection pool a client; answers are checked.

A gateway is not trusted: sizes are limited while reading, shapes are checked, and what matters is verified
elsewhere (acceptances by their signature, receipts offline, chunks by their address).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
from httpx import USE_CLIENT_DEFAULT

from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable
from agent.refusals import refusal
from protocol.errors import CaseledgerError, MalformedInput
from protocol.expect import json_value
from protocol.identifiers import case_commitment

CBOR = "application/cbor"
MAX_JSON = 32 * 1024 * 1024
MAX_RECEIPT = 64 * 1024
MAX_CHUNK = 1024 * 1024
MAX_VIEW = 512 * 1024
MAX_SHEET = 32 * 1024 * 1024
STORING_SECONDS = 900.0
"""How long a gateway may take to store a batch of a million cases."""
_T = TypeVar("_T")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class UrlInvalid(CaseledgerError):
    """Not an http or https URL without path, query and user."""

    title = "gateway URL not usable"


class TokenSource(Protocol):
    """Makes a login act for an audience; see `agent.login`."""

    def token(self, audience: str) -> str: ...


@dataclass(frozen=True)
class LogInfo:
    """A log as a gateway describes it. Believe origin and key only from the trust file."""

    log_id: bytes
    origin: str
    operator: int
    operated: bool
    """Whether this gateway accepts for it."""
    status: str
    size: int


@dataclass(frozen=True)
class ReceiptItem:
    """One result of a bulk request: a receipt, or why there is none yet."""

    evidence_id: str
    receipt: bytes | None
    state: str | None
    code: str | None


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of a gateway URL; this is also the audience of login acts."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlInvalid("the URL cannot be read", field="gateway") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise UrlInvalid("http:// or https:// and a host are expected", field="gateway")
    if parts.path not in ("", "/"):
        raise UrlInvalid("give the gateway's address without a path", field="gateway")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UrlInvalid("plain http is for loopback only", field="gateway", hint="use https")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


class GatewayClient:
    """One gateway. Close it, or use it as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        tokens: TokenSource | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = origin_of(url)
        self._tokens = tokens
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            transport=transport,
            follow_redirects=False,
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,
            headers={"user-agent": "caseledger-agent/1"},
        )

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # writing

    def submit(self, log_id: bytes, submission: bytes) -> bytes:
        """Sends an encoded submission; the encoded acceptance, not yet checked."""
        return self._request(
            "POST", f"/v1/logs/{log_id.hex()}/submissions",
            content=submission, content_type=CBOR, accept=CBOR, limit=MAX_CHUNK,
        )  # fmt: skip

    def act(self, act: Mapping[str, Any], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Has a signed act relayed to the chain; any member's gateway takes any member's act."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return self._json("POST", "/v1/acts", body=act, headers=headers)

    def put_case_batch(self, batch_id: bytes, file: Path) -> dict[str, Any]:
        """Sends a batch file as it is read; the answer comes when it is stored, which may take minutes."""
        with file.open("rb") as source:
            raw = self._request(
                "PUT", f"/v1/case-batches/{batch_id.hex()}",
                content=iter(lambda: source.read(MAX_CHUNK), b""), content_type="application/octet-stream",
                headers={"content-length": str(file.stat().st_size)}, authenticated=True,
                accept="application/json", limit=MAX_JSON, timeout=STORING_SECONDS,
            )  # fmt: skip
        return self._object(raw)

    def case_batch_act(self, root: bytes, act: Mapping[str, Any]) -> dict[str, Any]:
        """Has a signed Import or Recall relayed; the act's state at the gateway."""
        return self._json("POST", f"/v1/case-batches/{root.hex()}/acts", body=act)

    def case_position(self, case_id: str) -> dict[str, Any]:
        """Where a case stands, what this organisation could do, what waits (docs/spec/case.md §9)."""
        return self._json("GET", f"/v1/cases/{case_id}/acts")

    def case_act(
        self, case_id: str, act: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Hands in an act on a case; its state."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return self._json("POST", f"/v1/cases/{case_id}/acts", body=act, headers=headers, authenticated=False)

    def check_case_act(self, case_id: str, act: Mapping[str, Any]) -> dict[str, Any]:
        """Whether an act would be taken; it has no signatures."""
        return self._json("POST", f"/v1/cases/{case_id}/acts/check", body=act)

    def case_act_state(self, case_id: str, act_id: str) -> dict[str, Any]:
        """What became of an act on a case."""
        return self._json("GET", f"/v1/cases/{case_id}/acts/{act_id}")

    def waiting_case_acts(self) -> list[dict[str, Any]]:
        """Acts that wait for a second signature and name this organisation."""
        answer = self._json("GET", "/v1/case-acts/waiting")
        return self._shaped(lambda: [dict(item) for item in answer["items"]])

    def put_chunk(self, cid: str, data: bytes) -> None:
        self._request(
            "PUT", f"/v1/blobs/{cid}", content=data,
            content_type="application/octet-stream", authenticated=True, limit=MAX_CHUNK,
        )  # fmt: skip

    # reading

    def has_chunk(self, cid: str) -> bool:
        try:
            self._request("HEAD", f"/v1/blobs/{cid}", authenticated=True, limit=0)
        except GatewayRefused as error:
            if error.status == 404:
                return False
            raise
        return True

    def get_chunk(self, cid: str) -> bytes:
        return self._request("GET", f"/v1/blobs/{cid}", authenticated=True, limit=MAX_CHUNK)

    def act_state(self, act_id: str) -> dict[str, Any]:
        """What became of a relayed act."""
        return self._json("GET", f"/v1/acts/{act_id}", authenticated=False)

    def case_batch(self, root: bytes) -> dict[str, Any] | None:
        """A batch as the gateway knows it; None for one that it does not know."""
        try:
            return self._json("GET", f"/v1/case-batches/{root.hex()}")
        except GatewayRefused as error:
            if error.code == "BatchNotHere":
                return None
            raise

    def case_batches(self, *, cursor: str | None = None, limit: int = 100) -> dict[str, Any]:
        """`{"items": […], "next": cursor or null}`, newest first."""
        more = {} if cursor is None else {"cursor": cursor}
        return self._json("GET", "/v1/case-batches", parameters={"limit": str(limit), **more})

    def case_row(self, case_id: bytes) -> dict[str, Any]:
        """A case's sealed row for the caller; not yet checked."""
        return self._json("GET", f"/v1/cases/{case_id.hex()}/row")

    def case_list(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One page of the cases that the caller sees: `{"items": […], "next": cursor or null}`."""
        return self._json("GET", "/v1/cases", parameters=parameters)

    def case_decisions(self, case_id: bytes) -> list[dict[str, Any]]:
        """Decisions on a case, first to last, with what is sealed for the caller; not yet checked."""
        answer = self._json("GET", f"/v1/cases/{case_id.hex()}/decisions")
        return self._shaped(lambda: [dict(item) for item in answer["items"]])

    def keep_case_decision(self, case_id: bytes, document: Mapping[str, Any]) -> dict[str, Any]:
        """Hands in a sealed decision; the answer comes when it is durable."""
        return self._json("POST", f"/v1/cases/{case_id.hex()}/decisions", body=document)

    def case_evidence(self, case_id: bytes, *, most: int = 1000) -> list[dict[str, Any]]:
        """The entries of a case that the caller may see, newest first."""
        answer = self._json(
            "GET", "/v1/evidence",
            parameters={"case": case_commitment(case_id).hex(), "limit": str(most)},
            headers={"x-case-id": case_id.hex()},
        )  # fmt: skip
        return self._shaped(lambda: [dict(item) for item in answer["items"]])

    def read_cases(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One of the routes of readers of cases (docs/spec/http.md); `path` behind `/v1/`."""
        return self._json("GET", f"/v1/{path}", parameters=parameters)

    def read_case_file(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """The same for what is no JSON: a calendar, a receipt."""
        return self._request("GET", f"/v1/{path}", parameters=parameters, authenticated=True, limit=MAX_JSON)

    def issue_case_code(self, case_id: str, days: int) -> dict[str, Any]:
        """A new code for a case's debtor; shown in this answer alone."""
        return self._json("POST", f"/v1/cases/{case_id}/code", body={"days": days})

    def revoke_case_code(self, case_id: str) -> None:
        self._request("DELETE", f"/v1/cases/{case_id}/code", authenticated=True, limit=0)

    def case_reminders(self, after: int) -> dict[str, Any]:
        """`{"items": […], "next": place, "more": whether at once}`: reminders made after a place."""
        answer = self._json("GET", "/v1/reminders", parameters={"after": str(after)})
        return self._shaped(
            lambda: {
                "items": [dict(item) for item in answer["items"]],
                "next": max(after, int(answer["next"])),
                "more": answer["more"] is True and int(answer["next"]) > after,
            }
        )

    def status(self) -> dict[str, Any]:
        return self._json("GET", "/v1/status", authenticated=False)

    def logs(self) -> list[LogInfo]:
        answer = self._json("GET", "/v1/logs", authenticated=False)
        return self._shaped(lambda: [_log_info(item) for item in answer["logs"]])

    def organisations(self) -> list[dict[str, Any]]:
        """Organisations as the gateway sees the registry. Check what you rely on against your own node."""
        answer = self._json("GET", "/v1/organisations", authenticated=False)
        return self._shaped(lambda: [dict(item) for item in answer["organisations"]])

    def evidence(self, evidence_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/evidence/{evidence_id}")

    def list_evidence(
        self, *, case_commitment: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """`{"items": […], "next": cursor or null}`. A case commitment is not a secret of a person."""
        parameters: dict[str, str] = {"limit": str(limit)}
        if case_commitment is not None:
            parameters["case"] = case_commitment
        if cursor is not None:
            parameters["cursor"] = cursor
        return self._json("GET", "/v1/evidence", parameters=parameters)

    def find(self, content_sha256: bytes) -> list[dict[str, Any]]:
        """Entries over this content that the caller may know of. The digest travels in the body."""
        answer = self._json("POST", "/v1/evidence/find", body={"contentSha256": content_sha256.hex()})
        return self._shaped(lambda: [dict(item) for item in answer["items"]])

    def receipt(self, evidence_id: str) -> bytes:
        return self._request(
            "GET", f"/v1/evidence/{evidence_id}/receipt", authenticated=True, accept=CBOR, limit=MAX_RECEIPT
        )

    def custody_chain(self, evidence_id: str) -> dict[str, Any]:
        """An item's custody as accepted (docs/spec/custody.md §7)."""
        return self._json("GET", f"/v1/evidence/{evidence_id}/custody/chain")

    def custody_sheet(self, evidence_id: str) -> bytes:
        """The newest custody sheet, not yet checked."""
        return self._request(
            "GET", f"/v1/evidence/{evidence_id}/custody", authenticated=True, accept=CBOR, limit=MAX_SHEET
        )

    def receipt_view(self, evidence_id: str, view: str) -> bytes:
        """What the gateway alone can make of a receipt: `cose`, `ers` or `chain` (docs/spec/views.md)."""
        return self._request(
            "GET", f"/v1/evidence/{evidence_id}/receipt",
            parameters={"view": view}, authenticated=True, limit=MAX_VIEW,
        )  # fmt: skip

    def receipts(self, evidence_ids: Sequence[str]) -> list[ReceiptItem]:
        """One item for each id, in order."""
        answer = self._json("POST", "/v1/receipts", body={"ids": list(evidence_ids)})
        items = self._shaped(lambda: [_receipt_item(item) for item in answer["results"]])
        if [item.evidence_id for item in items] != list(evidence_ids):
            raise GatewayAnswerInvalid("results are not those that were asked for", field="results")
        return items

    # inside

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        authenticated: bool = True,
    ) -> dict[str, Any]:
        raw = self._request(
            method, path,
            content=None if body is None else json.dumps(body).encode(),
            content_type=None if body is None else "application/json",
            parameters=parameters, headers=headers, authenticated=authenticated,
            accept="application/json", limit=MAX_JSON,
        )  # fmt: skip
        return self._object(raw)

    @staticmethod
    def _object(raw: bytes) -> dict[str, Any]:
        try:
            value = json_value(raw, "answer", max_bytes=MAX_JSON)
        except MalformedInput:
            raise GatewayAnswerInvalid("the answer is not JSON") from None
        if not isinstance(value, dict):
            raise GatewayAnswerInvalid("the answer is not a JSON object")
        return value

    @staticmethod
    def _shaped(build: Callable[[], _T]) -> _T:
        try:
            return build()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise GatewayAnswerInvalid("the answer does not have the documented shape") from None

    def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Iterator[bytes] | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        authenticated: bool = False,
        limit: int,
        timeout: float | None = None,
    ) -> bytes:
        sent = dict(headers or {})
        if content_type is not None:
            sent["content-type"] = content_type
        if accept is not None:
            sent["accept"] = accept
        if authenticated and self._tokens is not None:
            sent["authorization"] = "Bearer " + self._tokens.token(self.url)
        try:
            with self._http.stream(
                method, path, content=content, params=parameters, headers=sent,
                timeout=USE_CLIENT_DEFAULT if timeout is None else httpx.Timeout(timeout, connect=5.0),
            ) as answer:  # fmt: skip
                data = _read(answer, MAX_JSON if answer.status_code >= 400 else limit)
                if answer.status_code >= 400:
                    raise refusal(answer, data)
                if answer.status_code >= 300:
                    raise GatewayAnswerInvalid("the gateway redirects; give its real address")
                return data
        except httpx.HTTPError as error:
            raise GatewayUnreachable(
                f"no answer ({type(error).__name__})", field="gateway",
                hint="is it running? nothing is lost: run the same command again",
            ) from None  # fmt: skip


def _read(answer: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > limit:
            raise GatewayAnswerInvalid(f"the answer is longer than {limit} bytes")
    return bytes(data)


def _log_info(item: Mapping[str, Any]) -> LogInfo:
    return LogInfo(
        bytes.fromhex(item["logId"]),
        str(item["origin"]),
        int(item["operator"]),
        bool(item["operated"]),
        str(item["status"]),
        int(item["size"]),
    )


def _receipt_item(item: Mapping[str, Any]) -> ReceiptItem:
    receipt = item.get("receipt")
    error = item.get("error")
    raw = None if receipt is None else base64.b64decode(receipt, validate=True)
    if raw is not None and len(raw) > MAX_RECEIPT:
        raise ValueError("receipt too long")
    return ReceiptItem(str(item["id"]), raw, item.get("state"), None if error is None else str(error["code"]))
