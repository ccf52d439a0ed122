"""Transactions with every field supplied: nothing is looked up while signing.

Legacy form with EIP-155 replay protection: the one form that all engines take, with or without a base fee.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain import rlp
from chain.signer import RelayerKey, Signed
from protocol.hashing import keccak256

TRANSFER_GAS = 21_000
MAX_DATA = 120_000  # bytes; nodes refuse more than 128 KiB


@dataclass(frozen=True)
class Call:
    """What is to be executed. `recipient` is 20 bytes, or None to create a contract; `data` may be empty."""

    recipient: bytes | None
    data: bytes
    value: int = 0

    def as_rpc(self, sender: bytes, gas: int | None = None, gas_price: int | None = None) -> dict[str, str]:
        """The call object of `eth_call` and `eth_estimateGas`."""
        out = {"from": "0x" + sender.hex(), "data": "0x" + self.data.hex()}
        if self.recipient is not None:
            out["to"] = "0x" + self.recipient.hex()
        if self.value:
            out["value"] = hex(self.value)
        if gas is not None:
            out["gas"] = hex(gas)
        if gas_price is not None:
            out["gasPrice"] = hex(gas_price)
        return out


def sign(key: RelayerKey, call: Call, *, chain_id: int, nonce: int, gas: int, gas_price: int) -> Signed:
    """Sign a legacy transaction (EIP-155). Deterministic: the same fields give the same bytes (RFC 6979)."""
    fields = [
        rlp.integer(nonce),
        rlp.integer(gas_price),
        rlp.integer(gas),
        call.recipient or b"",
        rlp.integer(call.value),
        call.data,
    ]
    digest = keccak256(rlp.encode_list([*fields, rlp.integer(chain_id), b"", b""]))
    r, s, parity = key.recoverable(digest)
    raw = rlp.encode_list([*fields, rlp.integer(chain_id * 2 + 35 + parity), rlp.integer(r), rlp.integer(s)])
    return Signed(raw, keccak256(raw))


def sign_filler(key: RelayerKey, *, chain_id: int, nonce: int, gas_price: int) -> Signed:
    """Nothing, sent to oneself: uses up a nonce."""
    call = Call(key.address, b"")
    return sign(key, call, chain_id=chain_id, nonce=nonce, gas=TRANSFER_GAS, gas_price=gas_price)


def gas_limit(estimate: int, *, revert_costs_limit: bool) -> int:
    """The limit to sign for an estimate.

    Where a reverted transaction costs its whole limit, the margin is small; a call's cost may still move a
    little between estimate and execution, when another call made a slot non-zero or longer.
    """
    margin = estimate // 20 if revert_costs_limit else estimate // 4
    return estimate + max(margin, 3_000)
