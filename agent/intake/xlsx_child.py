"""The process that reads one workbook: `python -m agent.intake.xlsx_child [SHEET]`, file on standard input.

It limits its own memory and time before it looks at the first byte, and answers in JSON lines: what the sheet
is, its rows, an end mark; or an error. It opens nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from agent.intake.container import Container
from agent.intake.errors import FileTooLarge, ImportRefused
from agent.intake.xlsx import choose_sheet, read_rows

MAX_MEMORY = 640 << 20
"""Address space; what is resident is less than half of it."""
MAX_SECONDS = 600


def limit() -> None:
    """Memory, processor time, no file to be written, no process to be started."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    except (ValueError, OSError):
        return  # a system without this limit; the reader's own bounds hold


def main(arguments: list[str]) -> int:
    limit()
    out = sys.stdout.buffer
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    try:
        with os.fdopen(0, "rb", closefd=False) as file:
            container = Container(file)
            sheet = choose_sheet(container, arguments[0] if arguments else None)
            about = {"sheet": sheet.name, "part": sheet.part, "date1904": sheet.date1904}
            out.write(dump(about).encode("utf-8", "surrogatepass") + b"\n")
            count = 0
            for number, cells in read_rows(container, sheet):
                count += 1
                out.write(dump([number, cells]).encode("utf-8", "surrogatepass") + b"\n")
            out.write(dump({"end": count}).encode() + b"\n")
    except ImportRefused as error:
        out.write(dump({"error": error.as_dict()}).encode("utf-8", "surrogatepass") + b"\n")
    except MemoryError:
        full = FileTooLarge("the workbook needs too much memory", hint="split it, or use CSV")
        out.write(dump({"error": full.as_dict()}).encode() + b"\n")
    except BrokenPipeError:
        os._exit(1)
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
