"""The accepted trust file of a witness or mirror, read again when it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from chain.deployment import Deployment
from monitor.errors import OriginUnknown, TrustFileUnusable
from protocol.errors import CaseledgerError
from verifier.trust import MAX_TRUST, TrustFile
from verifier.trust_payload import TrustedChain, TrustedLog, TrustPayload

ACCEPTED = Path("trust/accepted.cltrust")


class HeldTrust:
    """What the trust file at `path` says about the chain of `deployment`.

    Raises:
        TrustFileUnusable: missing, damaged, unsigned, outside its window, or other contracts
    """

    def __init__(self, path: Path, deployment: Deployment, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._deployment = deployment
        self._clock = clock
        self._read_at: tuple[int, int] | None = None
        self._payload: TrustPayload | None = None

    def payload(self) -> TrustPayload:
        """The trust file's content as it is now."""
        try:
            stat = self._path.stat()
            if self._payload is None or (stat.st_mtime_ns, stat.st_size) != self._read_at:
                with self._path.open("rb") as source:
                    trust = TrustFile.parse(source.read(MAX_TRUST + 1))
                trust.check()
                self._agree(trust.payload)
                self._payload, self._read_at = trust.payload, (stat.st_mtime_ns, stat.st_size)
        except OSError as error:
            raise TrustFileUnusable(
                f"{self._path.name}: {error.strerror}", field=self._path.name, hint="caseledger trust accept"
            ) from None
        except TrustFileUnusable:
            raise
        except CaseledgerError as error:
            raise TrustFileUnusable(f"{error.code}: {error.detail}", field=self._path.name) from None
        now = int(self._clock())
        if not self._payload.issued_at <= now <= self._payload.valid_until:
            raise TrustFileUnusable("not valid at this time", field="validUntil", hint="accept its successor")
        return self._payload

    def chain(self) -> TrustedChain:
        """Our chain."""
        chain = self.payload().chain(self._deployment.chain_id)
        if chain is None:
            raise TrustFileUnusable("does not name this chain", field="chains")
        return chain

    def log(self, origin: str) -> TrustedLog:
        """A log on our chain. Raises OriginUnknown."""
        found = self.payload().log(origin)
        if found is None or found.chain_id != self._deployment.chain_id:
            raise OriginUnknown("the trust file names no such log", field="origin")
        return found

    def logs(self) -> tuple[TrustedLog, ...]:
        """All logs on our chain."""
        return tuple(log for log in self.payload().logs if log.chain_id == self._deployment.chain_id)

    def _agree(self, payload: TrustPayload) -> None:
        """The record of what is deployed is a convenience; what counts is what the trust file pins."""
        chain = payload.chain(self._deployment.chain_id)
        if chain is None:
            raise TrustFileUnusable("does not name this chain", field="chains")
        for pin, contract in (
            (chain.registry, self._deployment.registry),
            (chain.evidence_log, self._deployment.evidence_log),
        ):
            if (pin.address, pin.code_hash) != (contract.address, contract.code_hash):
                raise TrustFileUnusable("pins other contracts than the deployment's record", field="chains")
        if (chain.network_id, chain.engine) != (self._deployment.network_id, self._deployment.engine):
            raise TrustFileUnusable("names another network than the deployment's record", field="chains")
