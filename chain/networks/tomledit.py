"""Change single values of a generated TOML file, keeping the rest; a key that is not there is an error."""

from __future__ import annotations

from collections.abc import Mapping

from chain.networks.errors import NetworkSettingRefused

TomlValue = str | int | bool
Settings = Mapping[tuple[str, str], TomlValue]


def _literal(value: TomlValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if any(c in value for c in '"\\\n'):
        raise NetworkSettingRefused("a setting holds a quote or a line end", field="settings")
    return f'"{value}"'


def edit(text: str, settings: Settings) -> str:
    """`settings` maps (section, key) to a value; the section of top-level keys is ""."""
    open_keys = dict(settings)
    section = ""
    lines: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped.strip("[]")
        elif "=" in stripped and not stripped.startswith("#"):
            key = stripped.split("=", 1)[0].strip()
            if (section, key) in open_keys:
                line = f"{key} = {_literal(open_keys.pop((section, key)))}"
        lines.append(line)
    if open_keys:
        missing = ", ".join(f"{s}.{k}" if s else k for s, k in open_keys)
        raise NetworkSettingRefused(
            f"no such setting in this release of the node: {missing}", field="settings"
        )
    return "\n".join(lines) + "\n"
