"""Lives that a case can have, how often each occurs, and how long its steps take.

Each path is steps of the lifecycle in order; `pause:K`, `resume:K` stop and start the clock, `reverse` takes
the last step back. Together the paths take every transition (tests/e2e/test_case_paths.py).
"""

from __future__ import annotations

_MEDIATED = "admit offer-mediation mediation-starts"
_AGREED = f"{_MEDIATED} mediation-agreed"
_NOT_MEDIATED = "admit offer-mediation mediation-not-taken"
_ORDERED = f"{_NOT_MEDIATED} order-filed order-issued"
_FILED = "admit transfer filed"
_BREACHED = f"{_AGREED} agreement-performing breached"
_ENFORCED = "enforcement-filed enforcement-starts"
_JUDGED_SMALL = "filed small-track judged-small performed close"

_TABLE: tuple[tuple[int, str, str], ...] = (
    # How often, path, and what usually follows where the path leaves a case under way.
    (130, "admit route-central settle settlement-binds performed close", ""),
    (15, "admit route-central settle settlement-dropped withdraw", ""),
    (6, f"{_AGREED} agreement-performed-at-once close reopen reject", ""),
    (60, f"{_MEDIATED} mediation-prolonged mediation-agreed agreement-performing performed close", ""),
    (25, f"{_BREACHED} cured performed close", ""),
    (15, f"{_BREACHED} transfer-after-breach fix-required transfer filed ordinary-track",
     "judged judgment-effective performed close"),
    (25, f"{_BREACHED} confirmation-filed confirmed performed", "close"),
    (10, f"{_BREACHED} offer-mediation mediation-not-taken withdraw", ""),
    (10, f"{_AGREED} confirmation-filed confirmation-prolonged confirmed {_ENFORCED} enforcement-closes", ""),
    (4, f"{_AGREED} confirmation-filed confirmation-rejected offer-mediation route-special route-central",
     "settle settlement-binds"),
    (4, f"{_AGREED} confirmation-filed confirmation-rejected transfer filing-refused refusal-final", ""),
    (80, f"{_MEDIATED} mediation-ends offer-mediation mediation-starts mediation-expires transfer",
     _JUDGED_SMALL),
    (12, f"{_ORDERED} order-served order-effective {_ENFORCED} enforcement-round-ends enforcement-resumes "
     "enforcement-closes", ""),
    (60, f"{_ORDERED} order-served performed close", ""),
    (8, f"{_ORDERED} order-served order-ended suit-declined transfer", _JUDGED_SMALL),
    (8, f"{_ORDERED} order-not-served suit-declined decline-closes", ""),
    (8, f"{_ORDERED} order-ended order-to-suit simple-track judged judgment-effective performed", "close"),
    (8, f"{_NOT_MEDIATED} order-filed order-refused transfer", _JUDGED_SMALL),
    (2, "admit transfer filing-refused filed-on-appeal simple-track simple-prolonged to-ordinary "
     "ordinary-prolonged judged appealed remanded judged appealed appeal-mediated performed", ""),
    (20, f"{_FILED} small-track judged-small {_ENFORCED} enforcement-settled enforcement-resumes "
     "enforcement-closes", ""),
    (12, f"{_FILED} small-track small-prolonged small-to-simple mediated-in-court {_ENFORCED} "
     "enforcement-settled performed close", ""),
    (4, f"{_FILED} small-track to-ordinary suit-withdrawn withdraw reopen withdraw", ""),
    (12, f"{_FILED} suit-withdrawn decline-closes", ""),
    (4, f"{_FILED} suit-withdrawn transfer refer-police police-answers refer-prosecutor "
     "prosecutor-answers settle", "settlement-binds"),
    (12, f"{_FILED} simple-track judged appealed appeal-decided {_ENFORCED} enforcement-round-ends "
     "enforcement-closes", ""),
    (20, f"{_FILED} ordinary-track judged judgment-effective enforcement-filed enforcement-closes", ""),
    (4, f"{_FILED} refer-from-trial taken-over", ""),
    (4, "ask-completion admit route-special route-central refer-prosecutor taken-over", ""),
    (6, "ask-completion reject reopen ask-completion withdraw", ""),
    (60, "reject", ""),
    (25, f"{_FILED} small-track pause:3 resume:3 judged-small performed", "close"),
    (10, f"{_FILED} reverse filed small-track pause:1 mediated-in-court performed", "close"),
    (6, "withdraw reverse admit route-central reverse route-special transfer", _JUDGED_SMALL),
)  # fmt: skip
PATHS: tuple[tuple[str, ...], ...] = tuple(tuple(path.split()) for _, path, _ in _TABLE)
TAILS: tuple[tuple[str, ...], ...] = tuple(tuple(tail.split()) for _, _, tail in _TABLE)
WEIGHTS: tuple[int, ...] = tuple(weight for weight, _, _ in _TABLE)

HOURS: dict[str, tuple[int, int]] = {
    # Fewest and most hours between the last step and this one, where nothing is late.
    "admit": (2, 44),
    "reject": (2, 44),
    "route-central": (2, 40),
    "offer-mediation": (2, 40),
    "settle": (24, 320),
    "settlement-binds": (1, 30),
    "settlement-dropped": (1, 20),
    "mediation-starts": (4, 64),
    "mediation-not-taken": (8, 70),
    "mediation-agreed": (48, 700),
    "mediation-ends": (48, 700),
    "mediation-prolonged": (240, 700),
    "mediation-expires": (1, 3),
    "agreement-performing": (24, 400),
    "breached": (300, 1400),
    "cured": (24, 160),
    "performed": (240, 1800),
    "close": (8, 200),
    "judged": (300, 1700),
    "judged-small": (200, 1100),
    "mediated-in-court": (100, 900),
    "simple-prolonged": (1500, 2000),
    "small-prolonged": (900, 1300),
    "ordinary-prolonged": (2000, 3000),
    "appeal-decided": (700, 1900),
    "appeal-mediated": (700, 1900),
    "remanded": (700, 1900),
    "enforcement-closes": (300, 2600),
    "enforcement-settled": (300, 2000),
    "enforcement-round-ends": (500, 2600),
    "enforcement-resumes": (300, 1200),
    "confirmed": (72, 600),
    "confirmation-prolonged": (300, 600),
    "order-issued": (48, 320),
    "order-served": (72, 600),
    "transfer": (24, 300),
    "filed": (12, 150),
    "police-answers": (200, 700),
    "prosecutor-answers": (200, 700),
    "taken-over": (200, 700),
    "reopen": (300, 1200),
    "resume:3": (300, 900),
    "reverse": (1, 24),
}
ELSE_HOURS = (8, 110)
"""Of a step that is not named."""
