"""Reads a YAML source of rules strictly, and writes what it says as Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import yaml

from protocol.i18n import Text


class SourceError(Exception):
    """The source is not what it should be; says where."""


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    loader.flatten_mapping(node)
    found: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise SourceError(f"line {key_node.start_mark.line + 1}: {key} stands twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(text: str) -> Any:
    """The value of a source text. Raises SourceError."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise SourceError(f"not YAML: {error}") from None


def digest_of(raw: object) -> bytes:
    """SHA-256 of the source as canonical JSON, so that comments and layout do not count."""
    return hashlib.sha256(
        json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).digest()


class Part:
    """A mapping whose members are taken one by one; what is left over is a mistake."""

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise SourceError(f"{name}: a mapping is expected")
        self.name = name
        self._left = dict(value)

    def take(self, key: str, default: Any = ...) -> Any:
        if key not in self._left and default is ...:
            raise SourceError(f"{self.name}: {key} is missing")
        return self._left.pop(key, default)

    def done(self) -> None:
        if self._left:
            raise SourceError(f"{self.name}: unknown member {sorted(self._left)[0]}")

    def number(self, key: str, maximum: int) -> int:
        value = self.take(key)
        if type(value) is not int or not 0 < value <= maximum:
            raise SourceError(f"{self.name}: {key} is a number from 1 to {maximum}")
        return value

    def text(self, key: str) -> Text:
        part = Part(f"{self.name}.{key}", self.take(key))
        words = Text(str(part.take("zh")).strip(), str(part.take("en")).strip())
        part.done()
        return words

    def choice(self, key: str, choices: Mapping[str, Any], default: Any = ...) -> Any:
        value = self.take(key, default)
        if value is default and default is not ...:
            return default
        if value not in choices:
            raise SourceError(f"{self.name}: {key} {value} is not known")
        return choices[value]

    def several(self, key: str, choices: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(self.known(choices, value, key) for value in self.take(key))

    def flag(self, key: str) -> bool:
        value = self.take(key, False)
        if type(value) is not bool:
            raise SourceError(f"{self.name}: {key} is true or false")
        return value

    def group(self, key: str, make: Callable[[Part], Any]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for name, value in self.take(key).items():
            part = Part(name, value)
            item = make(part)
            part.done()
            code = item.id if hasattr(item, "id") else item.code
            if code in found:
                raise SourceError(f"{name}: code {code} is taken by {found[code].name}")
            found[code] = item
        return dict(sorted(found.items()))

    def known(self, choices: Mapping[str, Any], value: str, key: str) -> Any:
        if value not in choices:
            raise SourceError(f"{self.name}: {key} {value} is not known")
        return choices[value]


def literal(value: object) -> str:
    """A Python expression; members that have their default are left out."""
    if hasattr(value, "__dataclass_fields__"):
        members = []
        for name, described in type(value).__dataclass_fields__.items():
            member = getattr(value, name)
            if member != described.default:
                members.append(f"{name}={literal(member)}")
        return f"{type(value).__name__}({', '.join(members)})"
    if isinstance(value, tuple):
        return "(" + "".join(f"{literal(member)}, " for member in value).strip() + ")"
    if hasattr(value, "name") and hasattr(value, "value"):
        return f"{type(value).__name__}.{value.name}"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
