"""Words of `caseledger case triage|track|decisions`."""

from __future__ import annotations

from protocol.i18n import Text

TEXTS = {
    "triage": Text(
        "按分流表提出建议，确认后记录并执行",
        "propose by the table; record and carry out once confirmed",
    ),
    "track": Text("可能适用的审判程序（只是建议）", "which trial track may apply (advice only)"),
    "decisions": Text("一起案件的全部分流决定", "all decisions of triage on a case"),
    "home": Text("数据目录", "data folder"),
    "json": Text("以 JSON 输出", "print JSON"),
    "cases": Text("案件编号；不写则为全部待分流案件", "case ids; all that wait for triage otherwise"),
    "case": Text("案件编号", "id of the case"),
    "batch": Text("只看这一批（批次根）", "only this batch (its root)"),
    "confirm": Text("确认并执行，不再询问", "confirm and carry out without asking"),
    "preview": Text("只看建议", "only show the proposals"),
    "officer": Text(
        "署名人员（姓名或工号），记入密封的决定",
        "the person who confirms, by name or staff number; goes into the sealed decision",
    ),
    "looked": Text(
        "署名人员已逐案看过的案件（可重复）", "a case that this person has looked at by itself (repeatable)"
    ),
    "override": Text("改为另一结果（可重复）", "another outcome instead (repeatable)"),
    "reason": Text("改动的理由", "why the outcome is another one"),
    "organisation": Text("机构编号", "index of the organisation"),
    "hpke-key": Text("收件密钥名称", "name of the key that opens rows"),
    "wage": Text("本省就业人员年平均工资（元）", "average yearly wage of the province's employed, in yuan"),
    "wage-year": Text("该工资的年度", "the year of that wage"),
    "province": Text("省份", "the province"),
    "filed": Text("立案日期（默认今天）", "date of filing (today)"),
    "state": Text("已知情况，如 foreign=no（可重复）", "what is known, such as foreign=no (repeatable)"),
    "none": Text("没有待分流的案件。", "No case waits for triage."),
    "head": Text(
        "分流表第 {version} 版 {digest}…：{n} 起案件",
        "Table of triage, version {version}, {digest}…: {n} cases",
    ),
    "count": Text(
        "  {outcome}  {all} 起：待执行 {proposed}，待人确认 {waits}，接续 {recorded}，无须再办 {rest}",
        "  {outcome}  {all}: to be carried out {proposed}, waits for a person {waits}, "
        "to be finished {recorded}, nothing to do {rest}",
    ),
    "line": Text("{case}…  {outcome}  [{state}] {why}", "{case}…  {outcome}  [{state}] {why}"),
    "proposed": Text("待执行", "to be carried out"),
    "waits": Text("待署名人员确认", "waits for a named person"),
    "recorded": Text("已记录，接着执行", "recorded, to be finished"),
    "done": Text("此前已决定", "decided before"),
    "closed": Text("不在分流阶段或已暂停", "past triage, or paused"),
    "instead": Text("（原建议 {outcome}；理由：{reason}）", " (proposed: {outcome}; because: {reason})"),
    "look": Text(
        "逐案确认 {case}…：{why}\n由“{officer}”确认并执行？[y/N] ",
        "Confirm {case}… by itself: {why}\nCarry out, confirmed by {officer}? [y/N] ",
    ),
    "ask": Text("确认执行 {n} 起？[y/N] ", "Carry out {n} cases? [y/N] "),
    "not-done": Text("没有执行。", "Nothing was carried out."),
    "moved": Text("{case}…  {steps}  决定 {commitment}…", "{case}…  {steps}  decision {commitment}…"),
    "stays": Text("留在原阶段", "stays where it is"),
    "failed": Text("{case}…  {code}：{detail}", "{case}…  {code}: {detail}"),
    "unread": Text("{case}…  无法打开（{code}），未列入", "{case}…  cannot be opened ({code}), left out"),
    "waiting": Text(
        "{n} 起要由署名人员逐案确认：--officer 姓名 --looked 案件",
        "{n} wait for a named person, case by case: --officer NAME --looked CASE",
    ),
    "tell": Text("给当事人的话：{plain} {human}", "What the person is told: {plain} {human}"),
    "decision": Text(
        "{n}. {time}  机构 {organisation}{officer}：{outcome}{instead}\n   {why}",
        "{n}. {time}  organisation {organisation}{officer}: {outcome}{instead}\n   {why}",
    ),
    "sealed": Text("{n} 条决定不是密封给本机构的。", "{n} decisions are not sealed to this organisation."),
    "not-reproduced": Text("与表不符：{code}", "not what the table says: {code}"),
}
