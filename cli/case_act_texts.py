"""Words of `caseledger case move` and its kin."""

from __future__ import annotations

from protocol.i18n import Text

TEXTS = {
    "move": Text(
        "推进案件：一个步骤（TRANSITION 为流程中的名称）",
        "take a step of a case (TRANSITION as in the lifecycle)",
    ),
    "pause": Text("停止计算期限（KIND 为事由名称）", "stop the clock of a case (KIND as in the lifecycle)"),
    "resume": Text("恢复计算期限", "let the clock of a case run again"),
    "reverse": Text(
        "撤回上一步（须另一机构共同签署）", "take the last step back; another organisation signs as well"
    ),
    "cosign": Text(
        "列出待签的行为，或签署其一（行为编号或文件）",
        "list acts that wait for this organisation, or sign one (id or file)",
    ),
    "lapse": Text(
        "期限届满而发生的步骤（任何人可提交）", "the step that time alone makes; anybody may send it"
    ),
    "mark-overdue": Text("记录期限已过（任何人可提交）", "record that a deadline has passed; anybody may"),
    "steps": Text(
        "案件现况，以及本机构现在可以做什么", "where a case stands and what this organisation could do now"
    ),
    "case": Text("案件编号（64 位十六进制）", "case id (64 hex digits)"),
    "transition": Text("步骤名称，如 admit、transfer", "name of the step, as admit or transfer"),
    "kind": Text("停止计算的事由名称，如 dispute", "name of the pause, as dispute"),
    "act": Text("行为编号或行为文件；不写则列出", "act id or file; none lists them"),
    "reason": Text("理由名称（步骤需要时）", "name of the reason, where the step has reasons"),
    "evidence": Text(
        "存证编号，按步骤所需的顺序；--direct 时为收据文件",
        "evidence ids in the step's order; receipt files with --direct",
    ),
    "co": Text("共同签署的机构编号", "index of the organisation that signs as well"),
    "co-key": Text(
        "共同签署机构的密钥（两把密钥都在本机时）", "its key, where both keys are on this machine"
    ),
    "note": Text(
        "附记的加盐承诺（64 位十六进制）", "salted commitment to what else belongs to it (64 hex digits)"
    ),
    "valid": Text(
        "有效秒数（默认 600；等待共同签署时默认 7 天）",
        "seconds of validity (600; 7 days where it waits for a signature)",
    ),
    "dry-run": Text(
        "只问：现在会不会被接受，为什么不会", "only ask whether it would be taken now, and why not"
    ),
    "no-wait": Text("不等上链", "do not wait for the block"),
    "timeout": Text("最多等几秒（默认 60）", "wait this long for the block (60)"),
    "sign-only": Text("只签名，写到该文件，不发送", "only sign, write to this file, send nothing"),
    "direct": Text("不经网关，经自有节点发送", "without a gateway, through a node of one's own"),
    "rpc": Text("自有节点的 RPC 地址，可重复", "RPC address of one's own node; repeat"),
    "relayer": Text("付费的中继密钥文件（--direct）", "key file of the relayer that pays (--direct)"),
    "batch": Text(
        "批次文件：--direct 且案件尚未启动时", "batch file, for a case that did not move yet (--direct)"
    ),
    "key": Text("签名密钥在 keys/ 下的名称", "act key under <home>/keys"),
    "done": Text(
        "已上链：区块 {block}。案件现为「{stage}」，第{version}次变更。",
        "on chain, block {block}. The case stands in “{stage}”, version {version}.",
    ),
    "would": Text("会被接受。案件将为「{stage}」。", "would be taken. The case would stand in “{stage}”."),
    "would-unknown": Text("会被接受。", "would be taken."),
    "deadline": Text("期限：{deadline}。{why}", "deadline: {deadline}. {why}"),
    "no-deadline": Text("现在没有期限。{why}", "no deadline now. {why}"),
    "waiting": Text(
        "已签，等待机构{co}共同签署；行为编号 {id}，有效至 {until}。",
        "signed; it waits for organisation {co}. Act {id}, valid until {until}.",
    ),
    "pending": Text(
        "已提交，尚未上链；稍后用同一命令可再看。行为编号 {id}。", "handed in, not in a block yet. Act {id}."
    ),
    "signed": Text("已签名：{path}", "signed: {path}"),
    "listed": Text(
        "{id}  {act}  案件 {case}  机构 {first}+{second}  有效至 {until}",
        "{id}  {act}  case {case}  organisations {first}+{second}  until {until}",
    ),
    "none": Text("没有待签的行为。", "nothing waits."),
    "stands": Text(
        "案件在「{stage}」，第{version}次变更。", "the case stands in “{stage}”, version {version}."
    ),
    "step": Text("  {name}  {label}{more}", "  {name}  {label}{more}"),
    "co-signed": Text("（须共同签署）", " (two sign)"),
    "by-time": Text("（期限届满自行发生）", " (by time alone)"),
    "with-reasons": Text("　理由：{names}", "  reasons: {names}"),
    "with-evidence": Text("　材料：{names}", "  evidence: {names}"),
    "signing": Text(
        "签署：{what}（案件 {case}，机构 {first} 发起）",
        "signing: {what} (case {case}, begun by organisation {first})",
    ),
    "mine": Text("（本机构已签）", " (signed by this organisation)"),
}
