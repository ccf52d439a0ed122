"""Words for verdicts and their codes, Chinese and English. Meaning is decided elsewhere."""

from __future__ import annotations

from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text
from verifier.verdict import Changed, Result, Status, Verdict

RESULTS = {
    Result.VALID: Text("核验通过", "verified"),
    Result.VALID_REDUCED_TRUST: Text("核验通过，但信任条件有缺项", "verified with reduced trust"),
    Result.INVALID: Text("核验不通过", "not verified: something was changed or does not belong"),
    Result.INDETERMINATE: Text("无法判定", "cannot be decided"),
}
STATUSES = {
    Status.PASS: Text("通过", "pass"),
    Status.FAIL: Text("不通过", "FAIL"),
    Status.REDUCED: Text("有缺项", "reduced"),
    Status.NOT_CHECKED: Text("未核验", "not checked"),
    Status.INDETERMINATE: Text("无法判定", "undecided"),
}
NAMES = {
    "receipt": Text("收据格式", "receipt"),
    "trust-file": Text("信任文件", "trust file"),
    "content": Text("文件内容", "content"),
    "inclusion": Text("在册证明", "inclusion"),
    "append-only": Text("只增不改", "append-only"),
    "finality": Text("区块终局", "finality"),
    "time": Text("时间", "time"),
    "signer": Text("提交人签名", "signer"),
    "custody": Text("保管流转", "custody"),
    "provenance": Text("来源", "provenance"),
    "neutrality": Text("中立性", "neutrality"),
}
CHANGED = {
    Changed.FILE: Text("文件与存证时不同", "the file is not the one that was recorded"),
    Changed.RECEIPT: Text("收据被改动，或不属于该日志", "the receipt was changed, or is not of this log"),
    Changed.TRUST_FILE: Text("信任文件被改动，或签名不足", "the trust file was changed, or lacks signatures"),
    Changed.CASE: Text("案件编号与记录不符", "the case id is another one"),
    Changed.PROVENANCE: Text(
        "来源说明与存证时不同", "the provenance statement is not the one that was recorded"
    ),
    Changed.CUSTODY: Text(
        "保管流转单被改动、有缺页，或属于另一份材料",
        "the custody sheet was changed, lacks an event, or is of another item",
    ),
}
LIMITS = Text(
    "本结论只说明记录是否完整、何时入链、由哪个机构的密钥签署；不说明内容是否真实，也不代替法院的认定。",
    "This says whether the record is intact, when it was anchored and whose key signed it. It does not say"
    " that the content is true, and it takes no decision of a court.",
)
NOT_CHECKED = {
    "trust-file": Text(
        "信任文件是否出自真正的签发方：请与另行取得的指纹核对",
        "that the trust file is the consortium's own: compare its fingerprint with one that came another way",
    ),
    "content": Text("内容是否真实、合法、与案件有关", "whether the content is true, lawful or relevant"),
    "inclusion": Text(
        "此后是否有替代或质疑该记录的其他记录", "whether later entries replace or dispute this one"
    ),
    "append-only": Text(
        "见证方各自核对了什么，以其公布的规则为准；信任文件以外的见证方",
        "how each witness looked before it signed; witnesses that the trust file does not name",
    ),
    "finality": Text(
        "验证节点的实际控制情况，以信任文件所载为准",
        "who really controls the validators: taken from the trust file",
    ),
    "time": Text(
        "文件形成于何时：只证明不晚于所示时间",
        "when the document was made: only that it was not later than shown",
    ),
    "signer": Text("密钥实际由谁掌管；该区块之后的吊销", "who held the key; revocation after that block"),
    "custody": Text(
        "所记的事是否属实；是否有人未作登记即行接触",
        "whether the events took place as stated, and whether anybody acted without recording it",
    ),
    "provenance": Text("来源说明所述是否真实", "whether what a provenance statement says is true"),
    "neutrality": Text("信任文件以外的利益关系", "interests that the trust file does not state"),
}
_CODES = {
    "Ok": Text("", ""),
    "EarlierStepFailed": Text("前面的步骤未通过，未继续", "an earlier step did not pass"),
    "DigestsOnly": Text("只有摘要", "digests only"),
    "CustodyContinuous": Text("逐条相接，无缺漏", "every event continues the one before, none is missing"),
    "CustodyNoEvents": Text("日志声明没有流转记录", "the log states that there are no events"),
    "CustodyBodiesWithheld": Text(
        "逐条相接，部分内容未出示", "every event continues the one before; some are not shown in full"
    ),
    "CustodyUnlinked": Text(
        "相邻两条内容均未出示，无从确认相接",
        "two events in a row are not shown: nothing says that they follow",
    ),
    "CustodyOutdated": Text(
        "流转单早于所要求的时点，或早于已知的记录", "the sheet is older than asked for, or than a known event"
    ),
    "CustodyKnownEventInvalid": Text(
        "用于比对的流转记录本身不成立", "a known event that was given for comparison does not hold"
    ),
    "MalformedCustody": Text("保管流转单格式不合规范", ""),
    "CustodyOtherItem": Text("流转单或其中一条属于另一份材料", ""),
    "CustodyLogNotTrusted": Text("信任文件未列出该运营方的这个流转日志", ""),
    "CustodyStatementInvalid": Text("日志对流转条数的声明签名不成立", ""),
    "CustodyInFuture": Text("流转记录或声明的时间尚未到来", ""),
    "CustodyGap": Text("缺少一条流转记录", ""),
    "CustodyReordered": Text("流转记录的次序被调换", ""),
    "CustodyChanged": Text("一条流转记录被替换", ""),
    "CustodyCountMismatch": Text("出示的条数与日志声明不同", ""),
    "CustodyHeadMismatch": Text("最后一条与日志声明不同", ""),
    "CustodyHolderMismatch": Text("移交方并不持有，或接收方未被移交", ""),
    "CustodyAfterAnchor": Text("所述时间晚于入链时间", ""),
    "CustodyBeyondCheckpoint": Text("记录在日志声明的大小之外", ""),
    "CustodyCheckpointMismatch": Text("日志声明的树根与入链的不同", ""),
    "CustodyEventWithheld": Text("日志隐去了一条已入链的流转记录", ""),
    "ClassMisplaced": Text("该类记录不应出现在这种日志里", ""),
    "NoProvenance": Text("存证时没有附来源说明", "no provenance statement was recorded"),
    "ProvenanceIncomplete": Text("来源说明不完整", "the provenance statement is incomplete"),
    "ProvenanceMismatch": Text(
        "来源说明不是存证时的那一份", "the provenance statement is not the one that was recorded"
    ),
    "ProvenanceAfterAnchor": Text("所述生成时间晚于入链时间", "the stated event is later than the anchor"),
    "MalformedProvenance": Text("来源说明无法解析", "the provenance statement cannot be read"),
    "NoFileGiven": Text("没有提供文件", "no file was given"),
    "NoContent": Text("该类记录不对应任何文件", "such an entry describes no file"),
    "BodyWithheld": Text("正文已隐去或销毁", "the body was withheld or erased"),
    "OutsideTrustWindow": Text(
        "核验时点不在信任文件有效期内", "evaluation time outside the trust file's window"
    ),
    "EvaluationBeforeAnchor": Text("核验时点早于入链", "evaluation time before the anchor"),
    "ChainProofNone": Text("开发链，没有链上证明", "development chain: nothing is proved"),
    "ClosedEpoch": Text(
        "该届验证节点已卸任，需换新证明", "closed validator epoch: the proof needs a refresh"
    ),
    "DepthFinality": Text(
        "该链没有最终性，只有后续区块的深度", "this chain has no finality: only blocks on top, no vote"
    ),
    "NeutralityNotMet": Text("一方利益群体持有三分之一以上", "one interest group holds a third or more"),
    "WitnessesMissing": Text("缺少见证方签名", "witness cosignatures are missing"),
    "TimeTokensMissing": Text("缺少可信时间戳", "time-authority tokens are missing"),
    "TimeTokensExpired": Text(
        "时间戳证书已到期，未及时续期", "time-authority tokens have expired and were not renewed"
    ),
    "WitnessesOnly": Text(
        "没有可信的验证节点，只凭见证方签名", "no trusted validators: rests on the witnesses alone"
    ),
    "WitnessUnknown": Text("没有信任文件所列见证方的签名", "no cosignature of a witness that is named"),
    "AlgorithmIgnored": Text(
        "按要求不依赖该算法，或其已到终止日，此项未核验",
        "the algorithm is ignored, as asked or because it has ended: not looked at",
    ),
    "NothingLeft": Text(
        "不依赖 SHA-256 时，没有国密时间戳或见证方签名可依",
        "without SHA-256 no SM3 token or cosignature is left to rest on",
    ),
    "HashRenewed": Text(
        "算法已不可依；换用新算法的续期表明，此项在算法失效前成立",
        "the algorithm is not relied on any more; a hash renewal shows that this stood before it ended",
    ),
    "HashNotRenewed": Text(
        "所依的散列算法均已不可依，收据没有作散列续期",
        "no digest that is relied on is left, and the receipt has no hash renewal",
    ),
    "ContentNotRenewed": Text(
        "文件内容没有在算法失效前作散列续期",
        "the content was not renewed before the algorithm ended",
    ),
    "RehashTooLate": Text("散列续期晚于算法的终止日，不计入", "a hash renewal after the algorithm's end"),
    "RehashTokensMissing": Text(
        "散列续期的有效时间戳不足，不计入", "too few tokens stand over the hash renewal: not counted"
    ),
    "RehashMismatch": Text("散列续期对应的是另一条记录", ""),
    "Sm2NotChecked": Text("此处没有 SM2 算法，未核验", "SM2 is not available here: not checked"),
    "Sm2KeyNotBound": Text("提交人的登记密钥没有认可这把 SM2 密钥", ""),
    "Sm2SignatureInvalid": Text("SM2 签名不成立", ""),
    "MalformedAttestation": Text("附加证明格式不合规范", "an attestation not of the specified form"),
    "CheckpointMalformed": Text("日志检查点格式不合规范", ""),
    "CheckpointSignatureInvalid": Text("日志对检查点的签名不成立", ""),
    "CheckpointTooSmall": Text("附加证明的检查点早于该批次", ""),
    "CosignatureInvalid": Text("一个见证方的签名不成立", ""),
    "WitnessQuorumMissing": Text("见证方签名不满足见证条件", ""),
    "CosignatureInFuture": Text("见证方签名晚于核验时点", ""),
    "AuthorityNotTrusted": Text(
        "信任文件未列出该时间戳机构，不计入", "the trust file does not name this time authority: not counted"
    ),
    "TimeTokenExpired": Text("时间戳证书已到期，不计入", ""),
    "DerMalformed": Text("时间戳编码不是唯一的规范形式", ""),
    "TokenMalformed": Text("时间戳格式不合规范", ""),
    "TokenLimit": Text("时间戳超出限度", ""),
    "TokenTrailingBytes": Text("时间戳之后有多余字节", ""),
    "TokenSignerCount": Text("时间戳的签名人不是恰好一个", ""),
    "TokenContentType": Text("签署的内容不是时间戳信息", ""),
    "TokenVersion": Text("时间戳信息的版本不对", ""),
    "TokenAlgorithmWeak": Text("时间戳用了已不安全的算法", ""),
    "TokenAlgorithmUnknown": Text("时间戳的算法本程序不核验", ""),
    "TokenAlgorithmMismatch": Text("时间戳内的算法名称互相矛盾", ""),
    "TokenImprintMismatch": Text("时间戳对应的是另一份数据", ""),
    "TokenAttributeMissing": Text("时间戳缺少一项签名属性", ""),
    "TokenAttributeRepeated": Text("时间戳的一项签名属性重复", ""),
    "TokenDigestMismatch": Text("时间戳签署的摘要与其内容不符", ""),
    "TokenSigningCertificateMissing": Text("时间戳没有签名证书属性", ""),
    "TokenSigningCertificateRepeated": Text("时间戳有多个签名证书属性", ""),
    "TokenSigningCertificateMismatch": Text("时间戳的签名证书被调换", ""),
    "TokenSignerMissing": Text("缺少时间戳签名人的证书", ""),
    "TokenSignatureInvalid": Text("时间戳的签名不成立", ""),
    "TokenSignerName": Text("时间戳所写机构名与证书不符", ""),
    "CertificateMalformed": Text("证书格式不合规范", ""),
    "TokenKeyUsage": Text("签名证书不是专用于时间戳", ""),
    "TokenPathInvalid": Text("证书链不通向该机构的根证书", ""),
    "TokenPathExpired": Text("时间戳签发时证书不在有效期", ""),
    "TokenCertificateUnused": Text("附有证书链以外的证书", ""),
    "TokenOutsideAuthorityWindow": Text("该机构在签发时不在信任期内", ""),
    "TokenInFuture": Text("时间戳晚于核验时点", ""),
    "TokenBeforeBlock": Text("时间戳早于它所对应的批次", ""),
    "TokenPolicyNotAccepted": Text("时间戳所依的策略未被接受", ""),
    "RevocationMalformed": Text("吊销数据格式不合规范", ""),
    "RevocationInvalid": Text("吊销数据不是签发方所出", ""),
    "TokenRevoked": Text("证书链中有证书已被吊销", ""),
    "TokenLibraryRefused": Text("另一种实现不接受该时间戳", ""),
    "TokenNonceMismatch": Text("时间戳不是对该请求的答复", ""),
    "TimeRequestRefused": Text("时间戳机构拒绝了请求", ""),
    "TimeAnswerMalformed": Text("时间戳机构的答复格式不对", ""),
    "UnknownVersion": Text("版本未知，请更新核验程序", "unknown version: a newer verifier may know it"),
    "UnknownProofKind": Text("链上证明的种类未知", "unknown kind of chain proof"),
    "MalformedReceipt": Text("收据格式不合规范", "not a receipt of the specified form"),
    "MalformedTrustFile": Text("信任文件格式不合规范", "not a trust file of the specified form"),
    "TrustSignatureInvalid": Text("信任文件的一个签名不成立", ""),
    "TrustQuorumMissing": Text("信任文件的签名不足法定组合", ""),
    "TrustFingerprintMismatch": Text("信任文件的指纹不符", ""),
    "TrustSerialNotHigher": Text("信任文件不比现持有的新", ""),
    "TrustPredecessorMismatch": Text("信任文件不是接续现持有的那一份", ""),
    "TrustHeldQuorumMissing": Text("现持有文件的签发方签名不足", ""),
    "TrustHeldChanged": Text("改动了现持有文件已固定的内容", ""),
    "ContentMismatch": Text("文件与存证时不同", ""),
    "BodyMismatch": Text("正文与记录的摘要不符", ""),
    "CaseMismatch": Text("不属于该案件", ""),
    "ContinuationMisplaced": Text("日志接续记录的位置或提交人不对", ""),
    "MerkleRootMismatch": Text("算得的树根与收据所载不同", ""),
    "MerkleProofLength": Text("路径长度与位置不符", ""),
    "MerkleIndexOutOfRange": Text("位置超出日志大小", ""),
    "ChainNotTrusted": Text("信任文件未列出这条链", ""),
    "LogNotTrusted": Text("信任文件未列出这个日志", ""),
    "ContractNotTrusted": Text("合约地址与信任文件不符", ""),
    "ProofKindMismatch": Text("链上证明的种类与信任文件不符", ""),
    "EpochNotTrusted": Text("信任文件没有该高度的验证节点", ""),
    "ProofHeightMismatch": Text("区块头与状态高度不衔接", ""),
    "ProvenValueMismatch": Text("链上的值与收据所载不同", ""),
    "ProvenValueAbsent": Text("链上没有这个值", ""),
    "BatchLinkMismatch": Text("链上的批次与收据所载不同", ""),
    "CodeHashMismatch": Text("合约代码与信任文件固定的不同", ""),
    "LeafBeyondClosedLog": Text("位置在已关闭日志的终点之后", ""),
    "LinkTimeAfterBlock": Text("批次时间晚于证明它的区块", ""),
    "SubmissionSignatureInvalid": Text("提交签名的形式不合规范", ""),
    "KeyOfAnotherOrganisation": Text("签名密钥属于另一机构", ""),
    "KeyPurposeMismatch": Text("签名密钥登记的用途不是行为签名", ""),
    "KeyNotActive": Text("签名密钥未生效或已取消", ""),
    "KeyNotValidAtAnchor": Text("入链时签名密钥不在有效期", ""),
    "KeyRevoked": Text("签名密钥在入链前已吊销", ""),
    "CometChainIdMismatch": Text("区块头属于另一条链", ""),
    "CometValidatorsHashMismatch": Text("区块头的验证节点与信任文件不符", ""),
    "CometCommitMismatch": Text("提交签名对应的是另一个区块", ""),
    "CometSignatureInvalid": Text("一个验证节点的签名不成立", ""),
    "CometQuorumMissing": Text("签名的投票权不足三分之二", ""),
    "Ics23KeyMismatch": Text("存储证明对应的是另一个键", ""),
    "Ics23ValueMismatch": Text("存储证明对应的是另一个值", ""),
    "Ics23RootMismatch": Text("存储证明不通向区块头的状态根", ""),
    "QbftValidatorsMismatch": Text("区块头的验证节点与信任文件不符", ""),
    "QbftSealInvalid": Text("一个区块封印不成立", ""),
    "QbftSealerUnknown": Text("封印出自信任文件以外的密钥", ""),
    "QbftSealRepeated": Text("同一验证节点重复封印", ""),
    "QbftQuorumMissing": Text("区块封印不足法定数", ""),
    "CliqueParentMismatch": Text("区块头前后不相接", ""),
    "CliqueTimeReversed": Text("区块头的时间早于前一区块", ""),
    "CliqueSignersMismatch": Text("区块头的签名者名单与信任文件不符", ""),
    "CliqueSealInvalid": Text("一个区块封印不成立", ""),
    "CliqueSignerUnknown": Text("封印出自信任文件以外的密钥", ""),
    "CliqueSignerRecent": Text("同一签名者过早再次封印", ""),
    "CliqueTurnMismatch": Text("难度与轮到的签名者不符", ""),
    "CliqueDepthMissing": Text("其后的区块不足", ""),
    "MptNodeMismatch": Text("存储证明不通向区块头的状态根", ""),
    "MptProofIncomplete": Text("存储证明不完整", ""),
    "MptUnusedNode": Text("存储证明含多余部分", ""),
    "MptAccountAbsent": Text("该区块中没有这个合约", ""),
    "MerkleSizeOutOfRange": Text("日志大小超出范围", ""),
    "MerkleHashLength": Text("哈希长度不对", ""),
    "RlpMalformed": Text("编码不是唯一的规范形式", ""),
    "RlpLimit": Text("编码超出限度", ""),
    "MptMalformedNode": Text("存储证明的节点形式不对", ""),
    "MptMalformedValue": Text("存储证明的值形式不对", ""),
    "MptLimit": Text("存储证明超出限度", ""),
    "QbftMalformedHeader": Text("区块头形式不对", ""),
    "CliqueMalformedHeader": Text("区块头形式不对", ""),
    "CliqueSignerSetInvalid": Text("信任文件的签名者不可用", ""),
    "QbftValidatorSetInvalid": Text("信任文件的验证节点不可用", ""),
    "ProtoMalformed": Text("编码不是唯一的规范形式", ""),
    "ProtoLimit": Text("编码超出限度", ""),
    "Ics23Malformed": Text("存储证明形式不对", ""),
    "Ics23SpecViolation": Text("存储证明不合该树的规则", ""),
    "Ics23NotAbsent": Text("不存在证明不成立", ""),
    "CometMalformed": Text("区块头或签名形式不对", ""),
    "CometValidatorSetInvalid": Text("信任文件的验证节点不可用", ""),
    "CometAccountMalformed": Text("合约账户记录形式不对", ""),
    "MalformedInput": Text("形式不合规范", ""),
    "LimitExceeded": Text("超出限度", ""),
    "CannotRead": Text("无法读取", "cannot be read"),
}
COMPARED = {
    "receipt.id": Text("收据编号", "receipt id"),
    "trust.fingerprint": Text("信任文件指纹", "trust file fingerprint"),
    "trust.signatures": Text("成立的签名/密钥总数", "good signatures / keys"),
    "trust.window": Text("有效期（秒，UTC）", "window (seconds UTC)"),
    "body.sha256": Text("正文 SHA-256 与记录一致", "SHA-256 of the body, as in the leaf"),
    "body.sm3": Text("正文 SM3 与记录一致", "SM3 of the body, as in the leaf"),
    "content.size": Text("文件大小（字节）一致", "file size in bytes, as recorded"),
    "content.sha256": Text("文件 SHA-256 一致", "SHA-256 of the file, as recorded"),
    "content.sha3_256": Text("文件 SHA3-256 与续期一致", "SHA3-256 of the file, as renewed"),
    "content.sm3": Text("文件 SM3 一致", "SM3 of the file, as recorded"),
    "leaf.id": Text("证据编号", "evidence id"),
    "leaf.index": Text("位置 < 日志大小", "index < size of the log"),
    "leaf.case": Text("案件承诺值一致", "case commitment, as in the leaf"),
    "link.rootSha256": Text("重算的 SHA-256 树根一致", "SHA-256 root, recomputed"),
    "link.rootSm3": Text("重算的 SM3 树根一致", "SM3 root, recomputed"),
    "link.value": Text("链上批次值与重算一致", "batch link, on chain as recomputed"),
    "link.number": Text("批次号", "batch number"),
    "log.origin": Text("信任文件所列日志", "log named by the trust file"),
    "chain.id": Text("链编号", "chain id"),
    "chain.network": Text("网络名", "network id"),
    "block.height": Text("区块高度", "block height"),
    "block.hash": Text("区块哈希", "block hash"),
    "block.stateRoot": Text("状态根", "state root"),
    "block.depth": Text("其后区块数，出块签名者/签名者总数", "blocks on top, signers who sealed/all"),
    "epoch.number": Text("签署的验证节点", "validators that signed for"),
    "EvidenceLog.address": Text("存证日志合约地址", "EvidenceLog address"),
    "EvidenceLog.codeHash": Text("存证日志合约代码哈希", "EvidenceLog code hash"),
    "ConsortiumRegistry.address": Text("联盟登记合约地址", "ConsortiumRegistry address"),
    "ConsortiumRegistry.codeHash": Text("联盟登记合约代码哈希", "ConsortiumRegistry code hash"),
    "witness.quorum": Text("见证方签名成立（树、大小、名称、时间）", "witnesses: tree, size, names, time"),
    "epoch.inside": Text("卸任之前的附加证明", "attested before the epoch ended"),
    "epoch.refreshed": Text("已由后一届验证节点重新证明", "proved again under a later epoch"),
    "time.token": Text("可信时间戳（秒，UTC）", "time-authority token (seconds UTC)"),
    "time.witness": Text("见证方满足条件的时间（秒，UTC）", "witness quorum (seconds UTC)"),
    "time.link": Text("批次时间（秒，UTC）", "batch time (seconds UTC)"),
    "time.block": Text("区块时间（秒，UTC）", "block time (seconds UTC)"),
    "submission.root": Text("提交的树根", "submission root"),
    "signer.key": Text("签名密钥", "signing key"),
    "signer.organisation": Text("密钥所属机构编号", "organisation index of the key"),
    "signer.asOf": Text("密钥状态截至区块", "key state as of block"),
    "custody.count": Text("日志声明的流转条数", "events that the log states"),
    "custody.size": Text("声明所及的日志大小", "size of the log that the statement covers"),
    "custody.head": Text("最后一条的哈希一致", "hash of the last event, as stated"),
    "neutrality.largest": Text("最大利益群体的投票权", "largest interest group's power"),
}


KINDS = {
    "witness": Text("见证方签名", "witness cosignatures"),
    "rfc3161": Text("可信时间戳", "time-authority token"),
    "renewal": Text("时间戳续期", "renewal"),
    "chain": Text("重新证明", "later chain proof"),
    "sm2": Text("SM2 签名", "SM2 signature"),
    "rehash": Text("散列续期", "hash renewal"),
}
"""Kinds of attestation."""
BOUNDS = {
    "token": Text("可信时间戳", "time-authority token"),
    "witness": Text("见证方签名", "witness cosignatures"),
    "block": Text("区块时间", "block time"),
}
"""What the latest possible time rests on."""


def say_code(code: str, lang: Language) -> str:
    """What a verdict's code means; empty for a pass, the code itself where there are no words."""
    text = _CODES.get(code)
    if lang == "en" and (text is None or (not text.en and code != "Ok")):
        return _TITLES.get(code) or _collect_titles().get(code, code)
    return code if text is None else text.choose(lang)


_TITLES: dict[str, str] = {}


def _collect_titles() -> dict[str, str]:
    """English titles from the error classes, so that they are written once."""
    waiting = [CaseledgerError]
    while waiting:
        kind = waiting.pop()
        _TITLES[kind.__name__] = kind.title
        waiting.extend(kind.__subclasses__())
    return _TITLES


def say_compared(what: str, lang: Language) -> str:
    """Name of one comparison."""
    text = COMPARED.get(what)
    return what if text is None else text.choose(lang)


def one_line(verdict: Verdict, lang: Language) -> str:
    """A verdict as a person reads it."""
    words = say_code(verdict.code, lang)
    status = STATUSES[verdict.status].choose(lang)
    return f"{NAMES[verdict.name].choose(lang)}: {status}" + (f" ({words})" if words else "")
