"""Errors, calls and events through the committed ABIs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.bindings import (
    ACT_CARRIER,
    CONTRACTS,
    AbiUnreadable,
    AnswerUnreadable,
    CustomError,
    artifact,
    decode_values,
    encode_values,
    interface,
    known_errors,
    parse_interface,
    revert_error,
)
from chain.errors import ContractPanic, ContractReverted, UnknownRevert
from protocol.errors import CaseledgerError

ALL_ERRORS = sorted(known_errors().values(), key=lambda error: error.name)


def sample(kind: str) -> Any:
    """A recognisable value of an ABI type."""
    if kind.startswith("uint"):
        return int(kind[4:] or 256) - 3
    if kind == "address":
        return bytes(range(20))
    if kind == "bytes32":
        return b"\xab" * 32
    if kind == "bytes":
        return b"\x01\x02\x03"
    if kind == "string":
        return "text"
    raise AssertionError(kind)


@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: str(error.name))
def test_every_custom_error_of_our_contracts_is_decoded_with_its_values(error: CustomError) -> None:
    values = [sample(kind) for kind in error.types]
    decoded = revert_error(error.encode(*values))
    assert isinstance(decoded, CaseledgerError)
    assert type(decoded).__name__ == decoded.code == error.name
    assert list(decoded.values.values()) == values
    for name, kind in zip(error.names, error.types, strict=True):
        assert name in decoded.detail, kind


def test_errors_of_all_three_contracts_are_known() -> None:
    names = {error.name for error in ALL_ERRORS}
    assert {"RegistryKeyRevoked", "GovernanceTooEarly", "LogOldSizeMismatch", "ActExpired"} <= names
    assert len(ALL_ERRORS) > 60


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xde\xad\xbe\xef", b"\xde\xad\xbe\xef" + b"\x07" * 64])
def test_unknown_revert_data_are_shown_as_hex_and_nothing_else(data: bytes) -> None:
    error = revert_error(data)
    assert isinstance(error, UnknownRevert)
    assert error.raw == data
    assert data.hex() in error.detail


def test_a_text_in_revert_data_is_not_shown_as_text() -> None:
    text = "upstream says: the password is hunter2"
    data = bytes.fromhex("08c379a0") + encode_values(["string"], [text])
    error = revert_error(data)
    assert error.code == "UnknownRevert"
    assert text not in str(error)
    assert text not in error.detail


def test_long_unknown_data_are_cut() -> None:
    assert len(revert_error(b"\xaa" * 100_000).detail) < 700


def test_a_known_selector_with_truncated_values_is_unknown() -> None:
    error = next(e for e in ALL_ERRORS if e.types)
    assert revert_error(error.selector + b"\x00").code == "UnknownRevert"


def test_panic_carries_its_code() -> None:
    error = revert_error(bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"))
    assert isinstance(error, ContractPanic)
    assert "0x11" in error.detail


@given(st.binary(max_size=300))
def test_any_revert_data_give_a_contract_error(data: bytes) -> None:
    assert isinstance(revert_error(data), ContractReverted)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_event_has_a_sequence_and_decodes_what_it_encodes(name: str) -> None:
    for event in interface(name).events.values():
        if event.name == "EIP712DomainChanged":
            continue
        # The carrier speaks of call data and not of a state that somebody follows.
        assert ("sequence" in event.names) != (name == ACT_CARRIER)
        topics = [event.topic]
        plain_types, plain = [], []
        for kind, indexed in zip(event.types, event.indexed, strict=True):
            value = [sample(kind[:-2])] if kind.endswith("[]") else sample_or_bool(kind)
            if indexed:
                topics.append(encode_values([kind], [value]))
            else:
                plain_types.append(kind)
                plain.append(value)
        decoded = event.decode(topics, encode_values(plain_types, plain))
        assert set(decoded) == set(event.names)


def sample_or_bool(kind: str) -> Any:
    return True if kind == "bool" else sample(kind)


def test_an_event_with_missing_topics_is_refused() -> None:
    event = interface("EvidenceLog").event("Anchored")
    with pytest.raises(AnswerUnreadable):
        event.decode([event.topic], b"")


def test_structs_and_addresses_survive_encoding() -> None:
    function = interface("ConsortiumRegistry").function("addOrganisation")
    entry = (b"\x01" * 32, 33, 7, True, ((b"\x02" * 20, 1, 0, 99),))
    assert function.decode_input(function.encode(entry)) == {"entry": entry}


def test_a_value_that_does_not_fit_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_values(["uint8"], [256])
    with pytest.raises(AnswerUnreadable):
        decode_values(["uint256"], b"\x00" * 31)


def test_an_overloaded_or_malformed_abi_is_refused() -> None:
    function = {"type": "function", "name": "f", "inputs": [], "outputs": []}
    with pytest.raises(AbiUnreadable):
        parse_interface("X", [function, function])
    with pytest.raises(AbiUnreadable):
        parse_interface("X", [{"type": "error"}])
    with pytest.raises(AbiUnreadable):
        interface("../../etc/passwd")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ActSignatureInvalid", 401),
        ("ActExpired", 403),
        ("RegistryKeyRevoked", 403),
        ("RegistryOrganisationSuspended", 403),
        ("RegistryOrganisationUnknown", 404),
        ("RegistryNonceMismatch", 409),
        ("LogOldSizeMismatch", 409),
        ("LogNoGrowth", 422),
    ],
)
def test_contract_errors_have_the_status_of_their_kind(name: str, status: int) -> None:
    error = next(e for e in ALL_ERRORS if e.name == name)
    decoded = revert_error(error.encode(*(sample(kind) for kind in error.types)))
    assert decoded.http_status == status


@pytest.mark.parametrize("name", CONTRACTS)
def test_calls_are_those_that_web3_makes(name: str) -> None:
    from web3 import Web3

    contract = Web3().eth.contract(abi=artifact(name)["abi"])
    flat = [
        function
        for function in artifact(name)["abi"]
        if function["type"] == "function" and all("tuple" not in part["type"] for part in function["inputs"])
    ]
    assert flat
    for function in flat:
        kinds = [part["type"] for part in function["inputs"]]
        if any(kind.endswith("]") for kind in kinds):
            continue
        values = [sample(kind) if kind != "bool" else True for kind in kinds]
        expected = contract.encode_abi(function["name"], values)
        assert "0x" + interface(name).function(function["name"]).encode(*values).hex() == expected
