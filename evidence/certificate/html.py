"""The document as one HTML file: no script, no request, receipts and trust file as links that hold them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from evidence.certificate import qr
from evidence.certificate.model import (
    Attachment,
    Banner,
    Block,
    Document,
    Head,
    Pairs,
    Part,
    Section,
    Style,
    Table,
    Text,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_TAGS = {"zh": "zh-CN", "en": "en"}
_CSS = """
:root{color-scheme:light}
body{font:13px/1.45 "Noto Sans CJK SC","Noto Sans SC","Source Han Sans SC","PingFang SC","Microsoft YaHei",
sans-serif;color:#1a1a1a;background:#fff;max-width:190mm;margin:0 auto;padding:8mm}
h1{font-size:24px;margin:0}h2{font-size:15px;margin:14px 0 4px;border-bottom:1px solid #9a9a9a}
header{display:flex;justify-content:space-between;gap:16px;margin-bottom:8px}
header p{margin:2px 0 6px;color:#555}figure{margin:0;text-align:center;font-size:11px;color:#555}
figure svg{width:32mm;height:32mm;display:block}
dl{display:grid;grid-template-columns:minmax(28mm,auto) 1fr;gap:2px 10px;margin:4px 0}
dt{color:#555}dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.mono{font-family:"Noto Sans Mono CJK SC",ui-monospace,Consolas,Menlo,monospace}
table{border-collapse:collapse;width:100%;margin:4px 0}thead{display:table-header-group}
th,td{border-top:1px solid #9a9a9a;border-bottom:1px solid #9a9a9a;text-align:left;vertical-align:top;
padding:2px 4px;white-space:pre-wrap;overflow-wrap:anywhere}
thead th{border-top:0}tr{break-inside:avoid}.dense{font-size:10.5px}.dense .mono{font-size:9px}
.banner{border:1px solid;border-left-width:5px;padding:6px 10px;margin:8px 0}.banner strong{font-size:17px}
.pass,.reduced{color:#1a1a1a}.pass{border-color:#1f5c3a}.pass strong{color:#1f5c3a}
.reduced{border-color:#8a5a00}.reduced strong{color:#8a5a00}
p{margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere}hr{border:0;margin:18px 0}
footer{color:#555;font-size:11px;margin-top:10px}
@media(max-width:600px){header{flex-direction:column}dl{grid-template-columns:1fr}dd{margin-bottom:4px}}
@media print{body{padding:0;max-width:none}hr{break-after:page;margin:0}article+article{break-before:page}}
@page{size:A4;margin:13mm 15mm}
"""


def render(document: Document) -> bytes:
    """UTF-8. The receipts are in it once, however many languages there are."""
    first = document.parts[0]
    parts = "\n".join(map(_part, document.parts))
    links = _links(document.attachments, first.attached)
    title = escape(f"{document.title} {document.code}")
    return (
        f'<!doctype html>\n<html lang="{_TAGS[first.lang]}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="referrer" content="no-referrer">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n{parts}\n{links}\n</body>\n</html>\n"
    ).encode()


def _part(part: Part) -> str:
    body = "\n".join(_block(block) for block in part.blocks)
    return f'<article lang="{_TAGS[part.lang]}">\n{body}\n<footer>{escape(part.footer)}</footer>\n</article>'


def _block(block: Block) -> str:
    if isinstance(block, Head):
        rows = _pairs((label, value, "text") for label, value in block.rows)
        figure = f"<figure>{qr.svg(block.qr).replace('<svg ', _label(block.qr), 1)}<figcaption>"
        return (
            f"<header><div><h1>{escape(block.title)}</h1><p>{escape(block.subtitle)}</p>{rows}</div>"
            f"{figure}{escape(block.caption)}</figcaption></figure></header>"
        )
    if isinstance(block, Banner):
        lines = "".join(f"<p>{escape(line)}</p>" for line in block.lines)
        return f'<section class="banner {block.tone}"><strong>{escape(block.title)}</strong>{lines}</section>'
    if isinstance(block, Section):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Text):
        return "".join(f"<p{_class(block.style)}>{escape(line)}</p>" for line in block.lines)
    if isinstance(block, Pairs):
        return _pairs(block.rows)
    if isinstance(block, Table):
        return _table(block)
    return "<hr>"


def _label(text: str) -> str:
    return f'<svg role="img" aria-label="QR: {escape(text, quote=True)}" '


def _class(style: Style) -> str:
    return ' class="mono"' if style == "mono" else ""


def _pairs(rows: Iterable[tuple[str, str, Style]]) -> str:
    shown = "".join(
        f"<dt>{escape(label)}</dt><dd{_class(style)}>{escape(value)}</dd>" for label, value, style in rows
    )
    return f"<dl>{shown}</dl>"


def _table(table: Table) -> str:
    whole = sum(column.share for column in table.columns)
    widths = "".join(
        f'<col style="width:{100 * column.share / whole:.2f}%">' if column.share else "<col>"
        for column in table.columns
    )
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in table.columns)
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_class(column.style)}>{escape(value)}</td>"
            for column, value in zip(table.columns, row, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    kind = ' class="dense"' if table.dense else ""
    return (
        f"<table{kind}><colgroup>{widths}</colgroup><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def _links(attachments: Iterable[Attachment], title: str) -> str:
    items = "\n".join(
        f'<li><a download="{escape(one.name, quote=True)}" '
        f'href="data:{one.mime};base64,{base64.b64encode(one.data).decode()}">{escape(one.name)}</a> '
        f"— {escape(one.description)}</li>"
        for one in attachments
    )
    return f"<section><h2>{escape(title)}</h2><ul>\n{items}\n</ul></section>"
