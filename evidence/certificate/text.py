"""How values are written: times, sizes, codes, and names that come from others."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

from protocol.i18n import Language, Text

SHANGHAI = timezone(timedelta(hours=8))
"""China has kept this offset the whole year since 1991."""
CODE_LEN = 20
MAX_NAME = 200
_BOTH = Text("{local}（北京时间）；{utc} UTC", "{local} (UTC+08:00, Asia/Shanghai); {utc} UTC")
_DAYS, _HOURS, _MINUTES, _SECONDS = (
    Text("{n} 天", "{n} d"),
    Text("{n} 小时", "{n} h"),
    Text("{n} 分", "{n} min"),
    Text("{n} 秒", "{n} s"),
)
_UNSAFE = re.compile(r"[\\/:*?\"<>|\x00-\x1f]")


def visible(text: str, maximum: int = MAX_NAME) -> str:
    """One line without control, direction and other unseen characters, which make a name read as another."""
    shown = "".join(
        "?" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else one
        for one in unicodedata.normalize("NFC", text)
    )
    return shown if len(shown) <= maximum else f"{shown[: maximum - 1]}…"


def file_name(text: str) -> str:
    """A name under which an attachment can be saved anywhere."""
    name = _UNSAFE.sub("_", visible(text)).strip(". ")
    return name or "_"


def moment(seconds: int, lang: Language) -> str:
    """A time in Asia/Shanghai and in UTC."""
    local, utc = (
        datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S") for zone in (SHANGHAI, UTC)
    )
    return _BOTH.format(lang, local=local, utc=utc)


def short_moment(seconds: int, between: str = " ") -> str:
    """A time in Asia/Shanghai, for a narrow column."""
    return datetime.fromtimestamp(seconds, SHANGHAI).strftime(f"%Y-%m-%d{between}%H:%M:%S")


def size(octets: int, lang: Language) -> str:
    """A number of bytes, written out."""
    return Text("{n} 字节", "{n} bytes").format(lang, n=f"{octets:,}")


def duration(seconds: int, lang: Language) -> str:
    """The two largest of days, hours, minutes and seconds that are not zero."""
    days, rest = divmod(abs(seconds), 86_400)
    parts = ((days, _DAYS), (rest // 3600, _HOURS), (rest % 3600 // 60, _MINUTES), (rest % 60, _SECONDS))
    shown = [unit.format(lang, n=n) for n, unit in parts if n][:2] or [_SECONDS.format(lang, n=0)]
    return ("-" if seconds < 0 else "") + " ".join(shown)


def share(part: int, whole: int) -> str:
    """A percentage with one decimal, rounded to nearest."""
    return f"{(part * 1000 + whole // 2) // whole / 10:.1f}%" if whole else "-"


def grouped(code: str) -> str:
    """A code in groups of four, to be read aloud."""
    return " ".join(code[at : at + 4] for at in range(0, len(code), 4))
