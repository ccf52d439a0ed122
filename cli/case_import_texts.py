"""What `caseledger case import` and its neighbours say."""

from __future__ import annotations

from protocol.i18n import Text

TEXTS = {
    "template": Text("写出导入模板（XLSX）", "write the import template (XLSX)"),
    "import": Text("批量导入：预览、确认、续做", "bulk import: preview, confirm, resume"),
    "mapping": Text("保存贵行的列名对应", "save your own headings"),
    "batch": Text(
        "批次：列出、查看、放弃、取证明、发送、撤回、状态、合计",
        "batches: list, show, drop, proof, send, recall, status, totals",
    ),
    "out": Text("输出文件", "output file"),
    "file": Text("XLSX、CSV 或 JSON 行文件", "XLSX, CSV or JSON lines"),
    "preview": Text("只预览，不写入（默认）", "check and show, write nothing (the default)"),
    "confirm": Text("确认：合格的行封存成批次", "confirm: rows without defect become a batch"),
    "resume": Text("续做被中断的批次", "finish interrupted batches"),
    "rows": Text("声明的行数", "declared number of rows"),
    "sum": Text("声明的合计金额（元）", "declared sum of the totals, in yuan"),
    "as-of": Text("逾期天数的截止日 YYYY-MM-DD", "day for which days overdue are stated"),
    "encoding": Text(
        "声明的编码：utf-8 或 gb18030（默认自动识别）", "utf-8 or gb18030; found by itself otherwise"
    ),
    "sheet": Text("工作表名称（默认第一张可见的）", "sheet; the first visible one otherwise"),
    "use": Text("使用保存的列名对应", "use a saved mapping"),
    "to": Text("封存给该机构（数据保管方），可重复", "seal to this organisation, the data holder; repeat"),
    "errors": Text(
        "错误文件的位置（默认在原文件旁）", "where the file with errors goes; beside the file otherwise"
    ),
    "organisation": Text("机构编号（默认取密钥文件所载）", "organisation index; the key file's otherwise"),
    "home": Text("数据目录", "home folder"),
    "json": Text("以 JSON 输出", "print JSON"),
    "quiet": Text("不显示进度", "no progress"),
    "set": Text("列名称=贵行的标题，可重复", "column name = your heading; repeat"),
    "product": Text("贵行的产品用语=产品，可重复", "your word = product; repeat"),
    "name": Text("名称", "name"),
    "which": Text(
        "批次编号的开头几位；取证明时为案件编号或 @合同编号",
        "first digits of a batch; for a proof a case id or @contract number",
    ),
    "written": Text("已写出 {path}", "written: {path}"),
    "check": Text("校验 {done} 行", "checked {done} rows"),
    "seal": Text("封存 {done} 行", "sealed {done} rows"),
    "total": Text("{file}：{rows} 行", "{file}: {rows} rows"),
    "new": Text("可导入 {new} 行，合计 {sum} 元", "to import: {new} rows, {sum} yuan"),
    "per": Text("  {product}：{rows} 行，{sum} 元", "  {product}: {rows} rows, {sum} yuan"),
    "known": Text(
        "此前已导入 {count} 行（批次 {batch}），不再写入",
        "{count} rows are in batch {batch} already; not written again",
    ),
    "bad": Text("有错 {bad} 行：", "with defects: {bad} rows"),
    "rule": Text("  {count} 处 {rule}：{says}", "  {count} × {rule}: {says}"),
    "declared": Text("声明与实际一致", "rows and sum are as declared"),
    "undeclared": Text(
        "未声明行数与金额；建议用 --rows 与 --sum 或在文件中声明，可发现截断的文件",
        "no rows or sum declared: --rows and --sum, or in the file, would show a file that was cut off",
    ),
    "unsummed": Text(
        "{count} 行的合计金额无法读取，未比对声明的金额",
        "{count} totals cannot be read: the declared sum was not compared",
    ),
    "mismatch": Text(
        "与声明不一致：{what}。不能确认", "differs from the declared: {what}. It cannot be confirmed"
    ),
    "unused": Text("未使用的列：{columns}", "columns not used: {columns}"),
    "samples": Text("将写入的内容（前几行，已遮盖）：", "what would be written (first rows, masked):"),
    "report": Text(
        "错误文件（含客户信息，请妥善保管）：{path}", "file with errors (holds customers' data): {path}"
    ),
    "only-preview": Text(
        "这是预览，尚未写入任何内容。确认：加 --confirm",
        "a preview: nothing was written. To confirm: --confirm",
    ),
    "again": Text(
        "没有新的行：全部已在此前的批次中，未作改动",
        "no new rows: all are in earlier batches; nothing was changed",
    ),
    "ready": Text(
        "批次 {batch} 已封存 {count} 件，根 {root}", "batch {batch}: {count} cases sealed, root {root}"
    ),
    "waiting": Text(
        "尚未发送；批次文件已备好：{path}。发送：caseledger case batch send",
        "not sent: the batch file is ready: {path}. To send: caseledger case batch send",
    ),
    "sent": Text("批次 {batch} 已上链", "batch {batch} is on the chain"),
    "none-ready": Text("没有待发送的批次", "no batch is waiting to be sent"),
    "recalled": Text(
        "批次 {batch} 已撤回；其中各行可以重新导入",
        "batch {batch} was recalled; its rows may be imported again",
    ),
    "ledger-line": Text(
        "{batch}  本地 {here}  账本 {state}  {count} 件，{moved} 件已启动  上链 {time}",
        "{batch}  here {here}  ledger {state}  {count} cases, {moved} moved  on chain {time}",
    ),
    "totals": Text(
        "合计的开启文件 {path}，承诺 {commitment}", "opening of the totals: {path}, commitment {commitment}"
    ),
    "totals-out": Text("合计开启文件的位置", "where the opening of the totals goes"),
    "no-send": Text("只封存，不发送", "seal the batch and do not send it"),
    "row": Text(
        "取回一件案件的密封行，用本机构的密钥打开并核对",
        "fetch a case's sealed row, open it with the organisation's key, check it",
    ),
    "case": Text("案件编号（64 位十六进制）", "case id (64 hex digits)"),
    "hpke-key": Text(
        "解封密钥名称（默认取设置）", "name of the key that opens it (from the settings otherwise)"
    ),
    "row-head": Text(
        "案件 {case}：第 {index} 件，共 {size} 件，批次根 {root}；内容与承诺一致",
        "case {case}: number {index} of {size} in the batch of root {root}; the row is the committed one",
    ),
    "nothing": Text("没有未完成的批次", "no batch is unfinished"),
    "dropped": Text("已放弃批次 {batch}", "batch {batch} was dropped"),
    "line": Text(
        "{batch}  {state}  {sealed}/{expected} 件  {time}",
        "{batch}  {state}  {sealed}/{expected} cases  {time}",
    ),
}
