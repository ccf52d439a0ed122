"""Names of hash tiles (C2SP tlog-tiles): tile/<level>/<index>[.p/<width>].

A tile holds up to 256 hashes of 32 bytes; level 0 are leaf hashes, level n the roots of 256^n leaves.
"""

from __future__ import annotations

import re

from protocol.errors import MalformedInput

TILE_WIDTH = 256
MAX_LEVEL = 7
_PATH = re.compile(r"((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_MAX_GROUPS = 6


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """What follows `tile/<level>/`: groups of three digits, all but the last after an x."""
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise MalformedInput("tile: an index from 0 and a width of 1 to 256 are expected", field="tile")
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03}")
    path = "/".join(reversed(groups))
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def parse_tile_path(text: str) -> tuple[int, int]:
    """Index and width of what `tile_path` gave.

    Raises:
        MalformedInput: not in its one form.
    """
    found = _PATH.fullmatch(text)
    if found is None or text.count("x") > _MAX_GROUPS:
        raise MalformedInput("tile: not the path of a tile", field="tile")
    index = int(found[1].replace("x", "").replace("/", "") + found[2])
    width = int(found[3]) if found[3] else TILE_WIDTH
    if width > TILE_WIDTH or tile_path(index, width) != text:
        raise MalformedInput("tile: not the path of a tile", field="tile")
    return index, width
