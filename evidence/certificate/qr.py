"""The QR symbol: a link to the public check, or the bare code where there is no such address."""

from __future__ import annotations

from evidence.certificate.extra import need

URN = "urn:caseledger:receipt:"
QUIET = 4
"""Modules of white around the symbol (ISO/IEC 18004 asks for 4)."""


def payload(code: str, check_url: str | None) -> str:
    """What the symbol says. The code is in the fragment, which a browser keeps to itself: the server of the
    check learns that somebody opens the page, not for which receipt.
    """
    return f"{check_url}#{code}" if check_url else URN + code


def svg(text: str) -> str:
    """The symbol as an SVG drawing, black on white, error correction level M."""
    modules = [list(row) for row in need("segno").make(text, error="m", micro=False).matrix]
    side = len(modules) + 2 * QUIET
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z"
        for y, row in enumerate(modules)
        for x, dark in enumerate(row)
        if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    )
