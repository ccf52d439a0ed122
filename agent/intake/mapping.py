"""A bank's saved mapping: its own headings and words. TOML in the agent's home, one file a name.

[columns]
contract_no = "借据号"        # name of the column = heading in the bank's file

[products]
"信用卡透支" = "credit-card"   # the bank's word = product

[options]
sheet = "明细"
encoding = "gb18030"
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.intake import cells
from agent.intake.columns import BY_NAME, folded
from agent.intake.errors import MappingInvalid
from agent.intake.text import encoding_named
from agent.intake.whole import write_whole
from protocol.case_row import Product

MAX_FILE = 1 << 16
_NAME = re.compile(r"[A-Za-z0-9\u4e00-\u9fff][A-Za-z0-9._\u4e00-\u9fff-]{0,63}")
_OPTIONS = {"sheet", "encoding"}
_PRODUCTS = {product.name.lower().replace("_", "-"): product for product in Product}


@dataclass(frozen=True)
class ColumnMapping:
    """`columns`: name to heading. `products`: the bank's word to product."""

    columns: Mapping[str, str] = field(default_factory=dict)
    products: Mapping[str, Product] = field(default_factory=dict)
    sheet: str | None = None
    encoding: str | None = None

    @property
    def headings(self) -> dict[str, str]:
        """Folded heading to column name."""
        return {folded(heading): name for name, heading in self.columns.items()}

    @property
    def words(self) -> dict[str, Product]:
        """Product words as cells are looked up."""
        return {cells.word(text): product for text, product in self.products.items()}


def mapping_path(home: Path, name: str) -> Path:
    """Where a mapping is kept.

    Raises:
        MappingInvalid: not a name.
    """
    if _NAME.fullmatch(name) is None:
        raise MappingInvalid("letters, digits, dot, dash, underscore", field="mapping")
    return home / "agent" / "intake" / "mappings" / f"{name}.toml"


def load_mapping(path: Path) -> ColumnMapping:
    """A saved mapping.

    Raises:
        MappingInvalid
    """
    try:
        with path.open("rb") as source:
            data = source.read(MAX_FILE + 1)
        document = tomllib.loads(data.decode("utf-8")) if len(data) <= MAX_FILE else None
    except OSError as error:
        raise MappingInvalid(f"{path.name}: {error.strerror}", field="mapping") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        document = None
    if document is None or set(document) - {"columns", "products", "options"}:
        raise MappingInvalid(f"{path.name}: tables columns, products, options", field="mapping")
    columns, products = (_table(document.get(name, {}), name) for name in ("columns", "products"))
    return _checked(columns, products, _table(document.get("options", {}), "options"))


def _checked(columns: dict[str, str], products: dict[str, str], options: dict[str, str]) -> ColumnMapping:
    if unknown := set(columns) - set(BY_NAME):
        raise MappingInvalid(f"no such column: {', '.join(sorted(unknown))}", field="columns")
    if len({folded(heading) for heading in columns.values()}) != len(columns):
        raise MappingInvalid("one heading for two columns", field="columns")
    if unknown := set(products.values()) - set(_PRODUCTS):
        raise MappingInvalid(f"products are {', '.join(_PRODUCTS)}", field="products")
    if unknown := set(options) - _OPTIONS:
        raise MappingInvalid(f"options are {', '.join(sorted(_OPTIONS))}", field="options")
    encoding = options.get("encoding")
    if encoding is not None:
        encoding_named(encoding)
    found = {word: _PRODUCTS[name] for word, name in products.items()}
    return ColumnMapping(columns, found, options.get("sheet"), encoding)


def _table(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
        raise MappingInvalid(f"[{name}] holds text alone", field=name)
    return {str(key): str(one) for key, one in value.items()}


def save_mapping(path: Path, mapping: ColumnMapping) -> None:
    """Writes a mapping that `load_mapping` reads back; whole or not at all."""
    lines = ["[columns]"]
    lines += [f"{name} = {_quoted(heading)}" for name, heading in mapping.columns.items()]
    names = {product: name for name, product in _PRODUCTS.items()}
    lines += ["", "[products]"]
    lines += [f"{_quoted(word)} = {_quoted(names[product])}" for word, product in mapping.products.items()]
    lines += ["", "[options]"]
    options = {"sheet": mapping.sheet, "encoding": mapping.encoding}
    lines += [f"{name} = {_quoted(value)}" for name, value in options.items() if value]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_whole(path) as out:
        out.write(("\n".join(lines) + os.linesep).encode("utf-8"))


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which neither a heading nor a word holds.
    return json.dumps(text.replace("\x7f", ""), ensure_ascii=False)


def mapping_from(
    columns: Sequence[str], products: Sequence[str], sheet: str | None, encoding: str | None
) -> ColumnMapping:
    """A mapping from `name=heading` and `word=product` texts, checked like a saved one.

    Raises:
        MappingInvalid
    """
    pairs: dict[str, dict[str, str]] = {"columns": {}, "products": {}}
    for table, texts in (("columns", columns), ("products", products)):
        for text in texts:
            left, equals, right = text.partition("=")
            if not equals or not left.strip() or not right.strip():
                raise MappingInvalid("NAME=VALUE is expected", field=table)
            pairs[table][left.strip()] = right.strip()
    options = {name: value for name, value in (("sheet", sheet), ("encoding", encoding)) if value}
    return _checked(pairs["columns"], pairs["products"], options)
