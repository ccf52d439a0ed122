"""The tables of columns and rules in docs/integrator.md, from the code.

``python -m scripts.import_doc [--write]``. Without ``--write``, exits 1 when the page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.intake.columns import COLUMNS
from agent.intake.rules import RULES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "integrator.md"
BEGIN, END = "<!-- import tables: make import-tables -->", "<!-- end of import tables -->"


def tables() -> str:
    """Both tables."""
    lines = ["| 列 / column | name | 必填 / required | 说明 / about |", "| --- | --- | --- | --- |"]
    for column in COLUMNS:
        label = f"{column.label.zh} / {column.label.en}"
        required = "是 / yes" if column.required else ""
        lines.append(f"| {label} | `{column.name}` | {required} | {column.about.zh}。 {column.about.en} |")
    lines += ["", "| 规则 / rule | 说明 / says | 改法 / to mend |", "| --- | --- | --- |"]
    for rule in RULES.values():
        says, fix = (f"{text.zh} / {text.en}".replace("|", "\\|") for text in (rule.says, rule.fix))
        lines.append(f"| `{rule.code}` | {says} | {fix} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables renewed."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{PAGE.name}: the marks of the tables are gone")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    text = PAGE.read_text("utf-8")
    renewed = page(text)
    if arguments == ["--write"]:
        PAGE.write_text(renewed, "utf-8")
        return 0
    if renewed != text:
        print("docs/integrator.md is stale: run `make import-tables`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
