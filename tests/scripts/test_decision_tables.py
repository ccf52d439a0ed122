"""The linter of decision tables names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from scripts import decision_tables
from scripts.decision_tables_source import SOURCES, lint, read
from scripts.yaml_source import SourceError, digest_of

TRIAGE = SOURCES[0].read_text("utf-8")
Change = Callable[[dict[str, Any]], object]


def source(change: Change, text: str = TRIAGE) -> str:
    raw = yaml.safe_load(text)
    change(raw)
    return yaml.safe_dump(raw, allow_unicode=True, sort_keys=False)


def rule(raw: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = raw["rules"][name]
    return found


def test_the_shipped_tables_are_sound_and_fresh() -> None:
    assert [lint(read(path.read_text("utf-8"))) for path in SOURCES] == [[], []]
    assert decision_tables.main([]) == 0


FAULTS: list[tuple[Change, str]] = [
    (lambda raw: raw["rules"].pop("other"), "a gap: no rule for"),
    (lambda raw: raw["rules"].pop("early"), "a gap: no rule for"),
    (lambda raw: rule(raw, "papers-missing").update(when={}), "rule fraud-signs: shadowed"),
    (lambda raw: rule(raw, "unreachable-people")["when"].pop("reachability"), "rule other: shadowed"),
    # two rules that together leave nothing to a third, neither of them alone
    (lambda raw: rule(raw, "unreachable-ask").update(when={"reachability": ["unreachable"]}),
     "rule unreachable-people: shadowed"),
    (lambda raw: rule(raw, "unreachable-filing")["when"].pop("elderly"), "broken by rule unreachable-filing"),
    (lambda raw: rule(raw, "unreachable-filing")["when"].update(hardship=["no", "not-stated"]),
     "guarantee vulnerable-never-filed-hardship: broken"),
    (lambda raw: rule(raw, "large").update(outcome="filing", confirm=None), "broken by rule large"),
    (lambda raw: raw["outcomes"]["filing"].update(confirm="run"), "adverse, and no person confirms it"),
    (lambda raw: raw["outcomes"]["central"].update(confirm="none"), "nobody else goes unconfirmed"),
    (lambda raw: rule(raw, "unreachable-filing").update(confirm="run"), "not stricter"),
    (lambda raw: raw["outcomes"]["special"]["steps"].update(ADMITTED=["admit"]), "does not leave ADMITTED"),
    (lambda raw: raw["outcomes"]["special"]["steps"].update(ADMITTED=["withdraw"]), "not the centre's"),
    (lambda raw: raw["outcomes"]["special"]["steps"].update(ADMITTED=["route-central"]), "different stages"),
    (lambda raw: rule(raw, "large").update(article="XYZ 1"), "no article of a known law"),
    (lambda raw: rule(raw, "large").update(article="CPL"), "no article of a known law"),
    (lambda raw: rule(raw, "large")["reason"].update(en=" "), "rule large: words are missing"),
    (lambda raw: raw["outcomes"]["central"]["human"].update(zh=""), "outcome central: words are missing"),
    (lambda raw: raw["inputs"]["group"]["bands"]["many"]["label"].update(en=""), "words are missing"),
    (lambda raw: raw["outcomes"].update(idle=raw["outcomes"]["central"] | {"code": 9}),
     "no rule leads to it"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_the_linter_names_what_is_wrong(change: Change, fault: str) -> None:
    def without_none(raw: dict[str, Any]) -> None:
        change(raw)
        for one in raw["rules"].values():
            if one.get("confirm", ...) is None:
                del one["confirm"]

    assert any(fault in found for found in lint(read(source(without_none))))


REFUSED: list[tuple[Change, str]] = [
    (lambda raw: raw.update({"hit-policy": "any"}), "hit-policy"),
    (lambda raw: raw.update(kind="weather"), "kind weather is not known"),
    (lambda raw: raw.update(extra=1), "unknown member extra"),
    (lambda raw: raw["inputs"]["papers"].update(code=14), "codes run from 1"),
    (lambda raw: raw["inputs"]["amount"]["bands"]["small"].update(start=0), "bands start at 0 and rise"),
    (lambda raw: raw["inputs"]["elderly"]["values"]["yes"].update(code=7), "codes of values run from 0"),
    (lambda raw: raw["inputs"]["product"]["values"].update({True: {}}), "quote yes and no"),
    (lambda raw: rule(raw, "large")["when"].update(amount=["huge"]), "amount has no value huge"),
    (lambda raw: rule(raw, "large")["when"].update(weather=["fair"]), "input weather is not known"),
    (lambda raw: rule(raw, "large")["when"].update(papers=["not-stated", "complete", "incomplete"]),
     "lists none, all, or one twice"),
    (lambda raw: rule(raw, "large").update(outcome="prison"), "outcome prison is not known"),
    (lambda raw: rule(raw, "large").update(code=1), "is taken by"),
    (lambda raw: raw["outcomes"]["central"]["steps"].update(ADMITTED=["teleport"]), "not in the lifecycle"),
    (lambda raw: raw["outcomes"]["central"]["steps"].update(NOWHERE=[]), "not in the lifecycle"),
    (lambda raw: raw["guarantees"]["reachable-never-filed"].update(when={}), ""),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fault"), REFUSED[:-1], ids=[fault for _, fault in REFUSED[:-1]])
def test_the_reader_is_strict(change: Change, fault: str) -> None:
    with pytest.raises(SourceError, match=fault):
        read(source(change))


def test_a_guarantee_over_everything_is_broken_by_any_rule_with_its_outcome() -> None:
    assert any("reachable-never-filed: broken" in found for found in lint(read(source(REFUSED[-1][0]))))


def test_words_count_in_the_digest_and_layout_does_not() -> None:
    raw = yaml.safe_load(TRIAGE)
    table = read(TRIAGE)
    assert table.digest == digest_of(raw) == read("# a comment\n" + TRIAGE).digest
    assert read(source(lambda raw: rule(raw, "large")["reason"].update(en="Else."))).digest != table.digest


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(SourceError, match="twice"):
        read(TRIAGE.replace("kind: triage", "kind: triage\nkind: triage"))
