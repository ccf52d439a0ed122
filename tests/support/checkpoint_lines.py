"""Lines of the conformance kinds checkpoint, cosignature, policy and sm2, damaged, made from a seed."""

from __future__ import annotations

import copy
import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

from protocol.checkpoint import Checkpoint, SignedNote, cosign_checkpoint, sign_checkpoint, statement_origin
from tests.support.fakechain import seeded
from tests.support.world import (
    AT,
    BANK_A,
    BANK_B,
    COURT,
    LINK_TIME,
    POLICY,
    REGULATOR,
    World,
    witness_private,
)

Line = dict[str, Any]
NAMES = (
    "court two",
    "a+b",
    "",
    "x" * 255,
    "x" * 256,
    "é" * 127,
    "é" * 128,
    "a\u3000b",
    "a\u200bb",
    "法院",
    "a\tb",
)
VECTORS = Path(__file__).parents[1] / "vectors"


@lru_cache(maxsize=1)
def _world() -> World:
    return World(version=2)


@lru_cache(maxsize=1)
def _frozen() -> tuple[list[Line], list[Line]]:
    mldsa = json.loads((VECTORS / "attested-ml-dsa.json").read_text())["cosignatures"]
    sm2 = json.loads((VECTORS / "attested-sm2.json").read_text())["signatures"]
    return [one["line"] for one in mldsa], [one["line"] for one in sm2]


def checkpoint_line(rng: random.Random) -> Line:
    world, algorithm = _world(), rng.randrange(2)
    head = world.checkpoint(algorithm, rng.choice((None, None, 14, 20)))
    lines = [sign_checkpoint(world.log_key, head)]
    if rng.random() < 0.5:
        lines.append(cosign_checkpoint(witness_private(COURT, algorithm), COURT, LINK_TIME, head))
    if rng.random() < 0.1:
        lines.append(sign_checkpoint(world.log_key, world.checkpoint(1 - algorithm)))
    if rng.random() < 0.2:
        rng.shuffle(lines)
    note = SignedNote(head.text(), tuple(lines)).encode().decode()
    line: Line = {
        "note": note, "origin": world.origin, "algorithm": algorithm,
        "key": world.log_key.public_key().public_bytes_raw().hex(),
    }  # fmt: skip
    if rng.random() < 0.5:
        line |= {"size": head.size, "root": head.root.hex()}
    if rng.random() < 0.4:
        line["note"], line["broken"] = _other_note(rng, note), True
    elif rng.random() < 0.1:
        origins = ("", "a b", "a+b", "x" * 128, "x" * 129, world.origin + "/sm3", "é", "other")
        line["origin"], line["broken"] = rng.choice(origins), True
    return line


def _other_note(rng: random.Random, note: str) -> str:
    rows = note.split("\n")
    how = rng.randrange(12)
    at = rng.randrange(len(rows))
    if how == 0:
        del rows[at]
    elif how == 1:
        rows.insert(at, rows[rng.randrange(len(rows))])
    elif how == 2:
        rows.insert(at, "")
    elif how == 3:
        rows[1] = rng.choice(
            ("", "0", "00", "013", "-1", "+13", "13 ", "９", str(2**63 - 1), str(2**63), "1e3", "9" * 30)
        )
    elif how == 4:
        rows[2] = rng.choice(
            (rows[2][:-1], rows[2] + "=", rows[2][:-2] + "B=", "A" * 44, rows[2].replace("/", "_"), "")
        )
    elif how == 5:
        rows[-2] = rng.choice(
            (rows[-2].replace("—", "-"), rows[-2] + " ", rows[-2][:-1], rows[-2].replace(" ", "  ", 1),
             "— x", "— x AAAA", "— x AAAAAAA=", "— x AAAAAA==", "— a+b AAAAAAA=", "— a\u3000b AAAAAAA=",
             "— " + "x" * 256 + " AAAAAAA=", "—x AAAAAAA=")
        )  # fmt: skip
    elif how == 6:
        return note.rstrip("\n") if rng.random() < 0.5 else note + rng.choice(("\n", " ", "\r\n"))
    elif how == 7:
        return note.replace("\n", "\r\n")
    elif how == 8:
        rows[0] = rng.choice((" " + rows[0], rows[0] + "x", "", rows[0] + "\t", "a\u200bb"))
    elif how == 9:
        rows[-1:-1] = [rows[-2]] * rng.choice((1, 10, 62, 63, 64, 200))
    elif how == 10:
        rows[2:2] = ["extension"]
    else:
        text = list(note)
        place = rng.randrange(len(text))
        text[place] = rng.choice("0aZ=\n +—\x00")
        return "".join(text)
    return "\n".join(rows)


def cosignature_line(rng: random.Random) -> Line:
    if rng.random() < 0.25:
        line = copy.deepcopy(rng.choice(_frozen()[0]))
        if line["name"] != _frozen()[0][0]["name"] or len(line["signature"]) != 4840:
            return {**line, "broken": True}
    else:
        algorithm = rng.randrange(2)
        head = _world().checkpoint(algorithm)
        if rng.random() < 0.15:
            head = Checkpoint(
                statement_origin("x" * rng.choice((1, 128)), algorithm), rng.choice((1, 2**63 - 1)), head.root
            )
        time = rng.choice((LINK_TIME, LINK_TIME, 0, 1, 2**40, 2**63 - 1))
        name = rng.choice((COURT, COURT, "x" * 255, "法院"))
        key = witness_private(COURT, algorithm)
        made = cosign_checkpoint(key, name, time, head)
        line = {
            "text": head.text().decode(), "name": name, "type": 4, "time": time,
            "publicKey": key.public_key().public_bytes_raw().hex(), "signature": made.untimed.hex(),
            "keyId": made.key_id.hex(), "at": rng.choice((AT, time, 2**63 - 1)),
            "size": head.size, "root": head.root.hex(),
        }  # fmt: skip
    for key_name in ("keyId", "at", "size", "root"):
        if rng.random() < 0.4:
            line.pop(key_name, None)
    if rng.random() < 0.2:
        line["name"], line["broken"] = rng.choice(NAMES), True
        line.pop("keyId", None)
    elif rng.random() < 0.2:
        line["text"], line["broken"] = _other_note(rng, line["text"] + "\n"), True
    return line


def policy_line(rng: random.Random) -> Line:
    names = [COURT, REGULATOR, BANK_A, BANK_B, "stranger"]
    line: Line = {
        "policy": {
            "witnesses": [
                {"name": one.name, "type": 4, "publicKey": one.public_key.hex(), "statement": one.statement,
                 "organisation": one.organisation, "role": one.role}
                for one in POLICY.witnesses
            ],
            "groups": [
                {"name": one.name, "threshold": one.threshold, "members": list(one.members)}
                for one in POLICY.groups
            ],
            "quorum": POLICY.quorum,
        },
        "statement": rng.randrange(2),
        "times": [{"name": name, "time": rng.choice((0, 1, 5, 7, 9, 2**63 - 1))}
                  for name in rng.sample(names, rng.choice((1, 3, 4, 4, 5)))],
    }  # fmt: skip
    policy = line["policy"]
    if rng.random() < 0.2:
        line["since"] = rng.choice((0, 5, 7, 9))
    if rng.random() < 0.5:
        line["broken"] = True
        how = rng.randrange(10)
        witness, group = rng.choice(policy["witnesses"]), rng.choice(policy["groups"])
        if how == 0:
            witness["name"] = rng.choice((*NAMES, COURT, BANK_A, group["name"]))
        elif how == 1:
            witness["publicKey"] = rng.choice((policy["witnesses"][0]["publicKey"], "00", "", "00" * 1312))
        elif how == 2:
            witness["type"] = rng.choice((0, 1, 5, 6, 256, 2**64))
        elif how == 3:
            witness["role"] = rng.choice(("", "insurer", "bank", "centre", "notary", "Court"))
        elif how == 4:
            witness["organisation"] = rng.choice(("", "x" * 256, "x" * 257, "a\u202eb", "中 国"))
        elif how == 5:
            group["threshold"] = rng.choice((0, 1, len(group["members"]), len(group["members"]) + 1, 2**32))
        elif how == 6:
            group["members"] = rng.choice(
                ([], group["members"][:1], group["members"] * 2, ["nobody"], [group["name"]])
            )
        elif how == 7:
            group["name"] = rng.choice((*NAMES, COURT, "all", "banks", "new"))
        elif how == 8:
            policy["quorum"] = rng.choice(
                (None, "", "nobody", COURT, *(one["name"] for one in policy["groups"]))
            )
        else:
            rng.shuffle(policy["groups"])
    return line


def sm2_line(rng: random.Random) -> Line:
    line: Line = copy.deepcopy(rng.choice(_frozen()[1]))
    if rng.random() < 0.6:
        name = rng.choice(("publicKey", "signature", "message"))
        data = bytearray.fromhex(line[name])
        half = len(data) // 2
        how = rng.randrange(5)
        if how == 0 and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[:half] = bytes(half)
        elif how == 2:
            data[half:] = b"\xff" * (len(data) - half)
        elif how == 3:
            data = data[half:] + data[:half]
        else:
            data[:] = seeded(rng.random())[: len(data) % 33] * 2 if name == "message" else bytes(len(data))
        line[name], line["broken"] = bytes(data).hex(), True
    return line
