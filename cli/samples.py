"""Sample documents of a dispute over a consumer loan: invented, without any person's data.

Folder names are evidence classes. The PDF files are small but whole (ISO 32000-1), their Chinese text in a
font that readers bring along.
"""

from __future__ import annotations

from pathlib import Path

CASE = "（示例）甲银行消费贷款纠纷 第0001号"

_CONTRACT = (
    "个人消费贷款合同（示例文本）",
    "合同编号：JX-2025-000001    签订日期：2025-03-01",
    "贷款人：甲银行股份有限公司    借款人：示例借款人甲",
    "第一条　贷款金额：人民币 50,000.00 元。",
    "第二条　贷款期限：12 个月，自放款之日起计算。",
    "第三条　贷款利率：年利率 4.35%，按月付息，到期还本。",
    "第四条　借款人逾期的，自逾期之日起按合同利率上浮 30% 计收罚息。",
    "第五条　争议解决：先经金融纠纷一站式化解中心调解；调解不成的，可向有管辖权的人民法院起诉。",
    "本页为演示材料，不对应任何真实的人或交易。",
)
_AGREEMENT = (
    "调解协议（示例文本）",
    "案号：示调〔2026〕0001 号    日期：2026-05-20",
    "申请人：甲银行股份有限公司    被申请人：示例借款人甲",
    "一、双方确认截至 2026-05-20 尚欠本金人民币 32,000.00 元。",
    "二、被申请人自 2026-06 起分 16 期偿还，每月 20 日前支付 2,000.00 元。",
    "三、被申请人按期履行的，申请人免除罚息。",
    "四、任何一期逾期超过 30 日的，申请人可申请强制执行。",
    "本页为演示材料，不对应任何真实的人或交易。",
)
_STATEMENT = """期次,应还日,应还本金(元),应还利息(元),实还(元),状态
1,2025-04-01,4000.00,181.25,4181.25,已还
2,2025-05-01,4000.00,166.75,4166.75,已还
3,2025-06-01,4000.00,152.25,4152.25,已还
4,2025-07-01,4000.00,137.75,0.00,逾期
5,2025-08-01,4000.00,123.25,0.00,逾期
"""
_DUNNING = """催收记录（示例）
2025-07-08 10:15  短信提醒，模板 T-02，送达回执：成功
2025-07-15 14:40  人工外呼，时长 02:31，录音编号 R-2025-0715-0001
2025-07-29 09:05  人工外呼，未接通
2025-08-12 16:20  书面函件，挂号编号 示例-0001
以上各次均在规定时段内进行，当日不超过一次。
"""
_IDENTITY = """{
  "回执类型": "身份核验（示例）",
  "核验时间": "2025-02-28T16:03:11+08:00",
  "核验方式": ["证件联网核查", "人脸比对"],
  "结果": "一致",
  "说明": "演示材料，不含任何个人信息"
}
"""
_VOUCHER = """送达凭证（示例）
文书：调解通知书　示调〔2026〕0001 号
方式：电子送达　　送达时间：2026-05-06 09:30:12（北京时间）
状态：已阅读　　凭证编号：SD-2026-0001
"""


def write(folder: Path) -> dict[str, list[Path]]:
    """Writes the samples under `folder`; the files by evidence class."""
    made = {
        "contract": [_file(folder, "contract/个人消费贷款合同.pdf", pdf(_CONTRACT))],
        "statement": [_file(folder, "statement/还款对账单.csv", _STATEMENT.encode("utf-8-sig"))],
        "dunning": [_file(folder, "dunning/催收记录.txt", _DUNNING.encode())],
        "identity-check": [_file(folder, "identity-check/身份核验回执.json", _IDENTITY.encode())],
        "agreement": [_file(folder, "agreement/调解协议.pdf", pdf(_AGREEMENT))],
        "service-voucher": [_file(folder, "service-voucher/送达凭证.txt", _VOUCHER.encode())],
    }
    return made


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def pdf(lines: tuple[str, ...]) -> bytes:
    """A one-page A4 document: the first line as its title, the others below."""
    drawn = [b"BT /F1 18 Tf 60 770 Td <" + _hex(lines[0]) + b"> Tj ET"]
    for number, line in enumerate(lines[1:]):
        at = 730 - 28 * number
        drawn.append(b"BT /F1 11 Tf 60 %d Td <" % at + _hex(line) + b"> Tj ET")
    stream = b"\n".join(drawn)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H"
        b" /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 5 >> /DW 1000"
        b" /FontDescriptor 7 0 R >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880]"
        b" /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
    ]
    out = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _hex(text: str) -> bytes:
    return text.encode("utf-16-be").hex().encode()
