"""Words of the certificate. What a verdict's code means is said by `verifier.wording`."""

from __future__ import annotations

from protocol.i18n import Text

TITLE = Text("电子数据存证核验证书", "Certificate of evidence verification")
SUBTITLE_ONE = Text("本页对应一份存证记录", "This page is about one recorded entry")
SUBTITLE_MANY = Text("共 {n} 份存证记录", "{n} recorded entries")
ITEM = Text("第 {n} 份，共 {total} 份", "Entry {n} of {total}")
FOOTER = Text("电子数据存证核验证书 {code}", "Certificate of evidence verification {code}")
PAGE = Text("第 {page} 页，共 {pages} 页", "page {page} of {pages}")
CODE = Text("核验码", "Check code")
CODE_MEANS_ONE = Text("收据编号的前 20 位", "first 20 digits of the receipt id")
CODE_MEANS_MANY = Text(
    "按顺序连接各收据编号，取 SHA-256 的前 20 位",
    "first 20 digits of the SHA-256 of the receipt ids in order",
)
SCAN = Text("扫码打开公开核验页", "Scan to open the public check")
SCAN_CODE = Text("核验码（无网址）", "The check code (no address)")
EVALUATED = Text("核验时点", "Evaluated at")
RESULT = Text("核验结果", "Result")
SIGNED = Text("证书签名", "Signed")
SIGNED_BY = Text(
    "PDF 由“{name}”以 PAdES 签名并加盖时间戳",
    "the PDF carries a PAdES signature with a time stamp by {name}",
)
NOT_SIGNED = Text(
    "未加盖电子签名；以所附收据为准", "no electronic signature; what counts is the attached receipt"
)
ATTACHED = Text("附件", "Attached files")

REDUCED_MEANS = Text(
    "这不表示文件或记录被改动；表示下列证明缺少，可信程度相应降低。",
    "This does not say that anything was changed. It says that the following is missing, and that trust is"
    " less by so much.",
)
MISSING = Text("缺项：{what}", "Missing: {what}")
FILE_NOT_COMPARED = Text(
    "未提供文件：只核验了记录，没有把任何文件与记录比对。",
    "No file was given: the record was verified, and no file was compared with it.",
)
FILES_NOT_COMPARED = Text(
    "其中 {n} 份未提供文件，只核验了记录。",
    "For {n} of them no file was given: only the record was verified.",
)
VALID_MEANS = Text("信任文件所要求的各项均已通过。", "Everything that the trust file requires has passed.")

ABOUT = Text("本证书说明什么，不说明什么", "What this certificate says, and what it does not")
ABOUT_LINES = (
    Text(
        "说明：文件与存证记录是否一致，记录何时入链，由哪个机构的密钥签署，入链后是否被改动，以及哪些事项没有核验。",
        "It says whether the file is the recorded one, when the record was anchored, whose key signed it,"
        " whether it was changed since, and what was not checked.",
    ),
    Text(
        "不说明：文件内容是否真实、合法、与案件有关。本证书不是公证书或鉴定意见，也不代替法院对证据的审查认定。",
        "It does not say that the content is true, lawful or relevant. It is no notarial deed and no expert"
        " opinion, and it takes no decision of a court.",
    ),
    Text(
        "依据是所附收据；本证书只是其可读形式，两者不一致时，以收据的核验结果为准。",
        "The attached receipt is what counts; this is its readable form. Where they differ, verify the"
        " receipt.",
    ),
)

FILE = Text("文件与摘要", "File and digests")
FILE_NAME = Text("文件名", "File name")
NO_FILE = Text("（未提供文件）", "(no file given)")
FILE_SIZE = Text("大小", "Size")
MEDIA = Text("类型", "Media type")
RECORDED_SIZE = Text("记录的大小与类型", "Recorded size and type")
COMPARED = Text("与该文件逐一比对一致", "compared with this file: equal")
RECORDED = Text("记录所载，未与文件比对", "as recorded, compared with no file")
WITHHELD = Text(
    "正文已隐去或销毁，收据不含文件摘要", "withheld or erased: the receipt holds no digest of the file"
)
CONTINUATION = Text("日志接续记录，不对应文件", "a log continuation: it describes no file")

RECORD = Text("存证记录", "Recorded entry")
EVIDENCE_ID = Text("证据编号", "Evidence id")
RECEIPT_ID = Text("收据编号", "Receipt id")
CLASS = Text("证据类别", "Class")
PRIVILEGED = Text(
    "{name}（调解保密材料，不得进入诉讼卷宗）", "{name} (privileged: must not enter a court file)"
)
CASE = Text("案件承诺值", "Case commitment")
CASE_CHECKED = Text("已按案件编号核对", "checked against the case id")
SUBMITTER = Text("提交机构", "Submitted by")
SUBMITTER_INDEX = Text("编号 {n}，该机构第 {sequence} 份", "organisation {n}, its entry {sequence}")
SUBMITTER_UNNAMED = Text(
    "名称见链上登记，收据与信任文件未载明",
    "its name is in the registry on chain, not in receipt or trust file",
)
AS_STATED = Text("签发方自述：{name}", "as the issuer states: {name}")
PLACE = Text("日志位置", "Place in the log")
PLACE_VALUE = Text("{log}，第 {index} 号，批次 {batch}", "{log}, index {index}, batch {batch}")
CHAIN = Text("链与区块", "Chain and block")
CHAIN_VALUE = Text("链编号 {chain}，区块高度 {height}", "chain id {chain}, block height {height}")
CHAIN_ONLY = Text("链编号 {chain}，没有区块证明", "chain id {chain}, no block was proved")
ANCHORED = Text("入链时间", "Anchored at")
NOT_LATER = Text("存在不晚于", "Existed not later than")
NOT_LATER_BY = {
    "token": Text("依据：可信时间戳", "by a time-authority token"),
    "witness": Text("依据：见证方签名", "by the witnesses"),
    "block": Text("依据：区块时间", "by the block"),
}
NOT_PROVED = Text("未证明", "not proved")
EVENT_TIME = Text("业务时间", "Time of the event")
EVENT_VALUE = Text(
    "{time}（提交人自述，未核验），距入链 {lag}",
    "{time} (the submitter's claim, not checked), {lag} before the anchor",
)
LAG_LONG = Text("（入链较晚，超过该类别的期限）", " (late: beyond the bound of its class)")
PROVENANCE = Text(
    "来源说明（提交机构入链时自述，未核验真伪）",
    "Provenance (the submitter's words, fixed when anchored; whether true was not checked)",
)
PROVENANCE_ROWS = (
    Text("来源系统", "Source system"),
    Text("生成事件", "Generating event"),
    Text("生成时间", "Generated at"),
    Text("生成机制", "Mechanism"),
    Text("采集程序", "Collector"),
    Text("环境检查", "Environment check"),
    Text("提取方法", "Extraction"),
    Text("传输路径", "Transfer path"),
    Text("原件所在", "Original"),
    Text("形式", "Form"),
)
NOT_GIVEN = Text("未说明", "not stated")
CHECK_PASSED = Text("{what}：通过，{at}", "{what}: passed, {at}")
CHECK_FAILED = Text("{what}：未通过，{at}", "{what}: not passed, {at}")
FORMS = {
    "born-digital": Text("原生电子数据", "born digital"),
    "scanned": Text("扫描件", "scanned"),
    "photographed": Text("翻拍件", "photographed"),
    "printed": Text("系统打印件", "printed from a system"),
}
PROVENANCE_FILE = Text("来源说明", "provenance statement")
LINKS = Text("关联记录", "Linked entries")

VERDICTS = Text("核验结论", "Verdicts")
VERDICTS_COLUMNS = (
    Text("事项", "Verdict"),
    Text("结论", "Status"),
    Text("说明", "What was found"),
    Text("没有核验的", "What was not checked"),
)
PASSED = {
    "receipt": Text("格式符合公开规范", "has the published form"),
    "trust-file": Text(
        "签名达到法定组合，核验时点在有效期内", "signed by a quorum; evaluated within its window"
    ),
    "content": Text("大小、SHA-256、SM3 均与记录一致", "size, SHA-256 and SM3 are the recorded ones"),
    "inclusion": Text(
        "记录在日志的 SHA-256 与 SM3 两棵树中", "the entry is in the log's SHA-256 and SM3 trees"
    ),
    "append-only": Text(
        "日志只增不改，批次与链上一致", "the log only grew; the batch is on chain as recomputed"
    ),
    "finality": Text(
        "区块由信任文件所列验证节点的法定数签署", "the block is signed by a quorum of the trusted validators"
    ),
    "time": Text("入链时间与区块相符，不晚于上列时刻", "the times agree; not later than stated above"),
    "signer": Text("由登记在册、入链时有效的密钥签署", "signed by a registered key, valid when anchored"),
    "custody": Text("保管流转记录完整", "the custody record is complete"),
    "provenance": Text("来源说明完整，与入链时一致", "the statement is complete, and the anchored one"),
    "neutrality": Text("没有一方利益群体达到三分之一", "no interest group holds a third of the power"),
}
IGNORED_SHA256 = Text("SM3 一致；SHA-256 按要求未采用", "SM3 agrees; SHA-256 was left aside as asked")

ATTESTATIONS = Text("见证签名与时间戳", "Cosignatures and time stamps")
ATTESTATIONS_NONE = Text(
    "收据中没有见证签名或时间戳。", "The receipt holds no cosignatures and no time stamps."
)
ATTESTATIONS_COLUMNS = (
    Text("种类", "Kind"),
    Text("出自", "By"),
    Text("时间（北京时间）", "Time (UTC+08:00)"),
    Text("是否采信", "Counted"),
)
KINDS = {
    "witness": Text("见证签名，{trees}", "cosignature, {trees}"),
    "rfc3161": Text("时间戳，{trees}", "time stamp, {trees}"),
    "renewal": Text("续期时间戳", "renewal"),
    "chain": Text("重新证明的链上状态", "chain state proved again"),
}
COUNTED = Text("采信", "yes")
NOT_COUNTED = Text("未采信：{why}", "no: {why}")
MORE = Text("另有 {n} 项，见收据", "{n} more, see the receipt")
TREES = {
    "": Text("", ""),
    "0": Text("SHA-256 树", "SHA-256 tree"),
    "1": Text("SM3 树", "SM3 tree"),
    "01": Text("SHA-256、SM3 两棵树", "SHA-256 and SM3 trees"),
}
UNKNOWN_WITNESS = Text("信任文件未列出的见证方", "a witness that the trust file does not name")
UNKNOWN_KIND = Text("未知种类 {kind}，未核验", "unknown kind {kind}, not checked")

TRUST = Text("信任文件", "Trust file")
TRUST_VALUE = Text("{name}，序号 {serial}", "{name}, serial {serial}")
FINGERPRINT = Text("指纹（SHA-256）", "Fingerprint (SHA-256)")
FINGERPRINT_HINT = Text(
    "请与法院、监管部门或中心另行公布的指纹核对",
    "compare it with the one that the court, the regulator or the centre publishes",
)

CHECK = Text("如何自行核验", "How to check it yourself")
CHECK_LINES = (
    Text(
        "一、从本 PDF 的附件（或 HTML 的附件链接）取出收据，与原文件放在一起。"
        "信任文件以法院自己的渠道取得的为准；附件中的那一份，须先核对指纹。",
        "1. Take the receipt out of this PDF's attachments (or the links of the HTML form) and put it beside"
        " the document. Use the trust file from the court's own channel; compare the fingerprint of the"
        " attached one first.",
    ),
    Text("二、离线核验命令：{command}", "2. Offline: {command}"),
    Text(
        "三、或用浏览器打开核验页（离线可用，文件不上传），拖入收据、原文件和信任文件。",
        "3. Or open the verification page in a browser (it works offline and uploads nothing) and drop"
        " receipt, document and trust file on it.",
    ),
)
CHECK_PAGE = Text("核验页的 SHA-256：{digest}", "SHA-256 of the verification page: {digest}")
CHECK_PAGE_NONE = Text(
    "核验页的摘要请与其发布方公布的核对。", "Compare the page's digest with the one that its publisher gives."
)
CHECK_AT = Text("核验网址：{url}", "Public check: {url}")

TABLE = Text("文件与摘要对照表", "Which digest belongs to which file")
TABLE_COLUMNS = (
    Text("序号", "No."),
    Text("文件", "File"),
    Text("文件摘要与证据编号", "Digests of the file, evidence id"),
    Text("日志位置与入链", "Log, anchored"),
    Text("结论", "Result"),
)
TOTALS = Text("汇总", "Totals")
TOTAL_ENTRIES = Text("记录", "Entries")
TOTAL_FILES = Text("{n} 份，其中 {files} 份有文件比对", "{n}, of which {files} with a file compared")
TOTAL_SIZE = Text("文件总大小", "Size of the files")
TOTAL_RESULTS = Text("结果", "Results")
TOTAL_CLASSES = Text("类别", "Classes")
TOTAL_SUBMITTERS = Text("提交机构", "Submitters")
TOTAL_TIMES = Text("入链时间", "Anchored")
FROM_TO = Text("自 {first}\n至 {last}", "from {first}\nto {last}")
SUBMITTER_TOTAL = Text("编号 {n}{name}", "organisation {n}{name}")
SUBMITTER_NAME = Text("（签发方自述：{name}）", " (as the issuer states: {name})")
GROUP = Text("结论组 {name}：{n} 份（序号 {numbers}）", "Group {name}: {n} entries (no. {numbers})")
GROUP_NAME = Text("{result}\n{name} 组", "{result}\ngroup {name}")
RESULT_SHORT = {
    "VALID": Text("通过", "verified"),
    "VALID_REDUCED_TRUST": Text("通过，有缺项", "reduced trust"),
}
IN_ARCHIVE = Text("receipts.zip 内 {name}", "{name} in receipts.zip")
SEE_PAGE = Text("详见各份记录页", "see the page of each entry")
INDEX = Text("第 {index} 号 · 批次 {batch}", "index {index} · batch {batch}")

SHEET = Text(
    "附页：平台情况说明（《人民法院在线诉讼规则》第十七条）", "Annex: the platform (Article 17 sheet)"
)
SHEET_ABOUT = Text(
    "列出审查链上证据时可能考虑的平台事实，取自信任文件，供法庭参考；是否符合规定由法庭判断。",
    "Facts about the platform that a court may weigh under Article 17 of the Online Litigation Rules, taken"
    " from the trust file. Whether they meet the rules is for the court.",
)
CONSORTIUM = Text("联盟", "Consortium")
TRUST_KEYS = Text("信任文件签发方", "Who signs the trust file")
TRUST_KEYS_VALUE = Text("{m} 个签名生效，共 {n} 个密钥：{who}", "{m} signatures of {n} keys: {who}")
TRUST_WINDOW = Text("有效期", "Valid")
OPERATOR = Text("日志运营方", "Operator of the log")
OPERATOR_VALUE = Text("{log}：机构编号 {n}", "{log}: organisation {n}")
FILING = Text("备案编号", "Filing number")
NOT_STATED = Text("信任文件未载明", "not in the trust file")
RELATION = Text("提交机构与运营方", "Submitter and operator")
RELATION_SAME = Text("编号 {n} 既是提交机构又是日志运营方", "organisation {n} is both submitter and operator")
RELATION_OTHER = Text(
    "提交机构 {who} 不是日志运营方 {operator}", "the submitter {who} is not the operator {operator}"
)
RELATION_HINT = Text(
    "提交机构与各验证节点控制方的关系，信任文件未载明，由当事人说明",
    "how the submitter stands to those who control validators is not in the trust file; the parties state it",
)
NETWORK = Text("链", "Chain")
NETWORK_VALUE = Text(
    "{engine}，网络 {network}，链编号 {chain}，证明方式 {kind}",
    "{engine}, network {network}, chain id {chain}, proof {kind}",
)
CONTRACTS = Text("合约代码哈希", "Code hashes")
VALIDATORS = Text(
    "验证节点与控制方（第 {epoch} 届，自区块 {first}{last}）",
    "Validators and who controls them (epoch {epoch}, from block {first}{last})",
)
UNTIL = Text(" 至 {n}", " to {n}")
VALIDATORS_NONE = Text(
    "信任文件没有为该高度列出验证节点。", "The trust file names no validators for this height."
)
VALIDATORS_COLUMNS = (
    Text("控制方", "Controlled by"),
    Text("利益群体", "Interest group"),
    Text("投票权", "Power"),
    Text("占比", "Share"),
)
GROUPS = Text("利益群体占比", "Shares of interest groups")
GROUP_SHARE = Text("群体 {group}：{share}", "group {group}: {share}")
GROUP_BELOW = Text("均低于三分之一", "all below a third")
GROUP_ABOVE = Text("有一方达到三分之一", "one holds a third or more")
WITNESSES = Text("见证方", "Witnesses")
WITNESSES_NONE = Text("信任文件未列出见证方", "the trust file names none")
AUTHORITIES = Text("时间戳机构", "Time authorities")
AUTHORITIES_NONE = Text("信任文件未列出时间戳机构", "the trust file names none")
QUORUM = Text("须满足“{name}”", '"{name}" has to be satisfied')
GROUP_RULE = Text("“{name}”：{n} 之 {m}（{members}）", '"{name}": {m} of {n} ({members})')
ALGORITHMS = Text("算法", "Algorithms")
ALGORITHMS_LINES = (
    Text(
        "文件与记录摘要：SHA-256 与 SM3 并用；日志：两棵平行的只增默克尔树（RFC 9162 形式）。",
        "Digests of file and record: SHA-256 and SM3 side by side; log: two parallel growing Merkle trees"
        " (RFC 9162).",
    ),
    Text(
        "提交签名：secp256k1 ECDSA（EIP-712）；链上状态：Keccak-256 与 SHA-256；"
        "信任文件、见证：Ed25519；时间戳：RFC 3161。",
        "Submission: secp256k1 ECDSA (EIP-712); chain state: Keccak-256 and SHA-256; trust file and"
        " witnesses: Ed25519; time stamps: RFC 3161.",
    ),
)
ENVIRONMENT = Text("采集环境与传输", "Collection and transfer")
ENVIRONMENT_VALUE = Text(
    "收据只含来源记录的摘要，本证书未核验采集环境的清洁性与传输过程",
    "the receipt holds a digest of the provenance record only; cleanliness of the collecting system and"
    " transfer were not checked",
)
ROLES = {
    "court": Text("法院", "court"),
    "regulator": Text("监管部门", "regulator"),
    "centre": Text("中心", "centre"),
    "notary": Text("公证机构", "notary"),
    "bank": Text("银行", "bank"),
}
RECEIPT_FILE = Text("收据", "receipt")
RECEIPT_FILES = Text("全部收据", "all receipts")
TRUST_DESCRIPTION = Text("核验所用信任文件", "the trust file that was used")
