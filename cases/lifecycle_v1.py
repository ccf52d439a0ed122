"""Version 1 of the lifecycle; made from lifecycle.yaml by scripts/lifecycle.py."""

from __future__ import annotations

from enum import IntEnum

from cases.deadlines import Unit
from cases.lifecycle import (
    Clock,
    Consent,
    CourtRule,
    EvidenceNeed,
    Fact,
    Hold,
    Lifecycle,
    Product,
    Reason,
    Stage,
    Transition,
    When,
)
from protocol.entry import EvidenceClass
from protocol.i18n import Text


class StageCode(IntEnum):
    """Where a case can stand."""

    IMPORTED = 1
    ADMITTED = 2
    COMPLETION = 3
    SPECIAL = 4
    CENTRAL = 5
    SETTLED = 6
    MED_OFFERED = 7
    MEDIATING = 8
    MED_AGREED = 9
    MED_FAILED = 10
    CONF_APPLIED = 11
    CONFIRMED = 12
    CONF_REJECTED = 13
    PERFORMING = 14
    PERFORMED = 15
    BREACHED = 16
    PO_APPLIED = 17
    PO_ISSUED = 18
    PO_SERVED = 19
    PO_EFFECTIVE = 20
    PO_REJECTED = 21
    PO_LAPSED = 22
    CREDITOR_DECLINED = 23
    TRANSFERRED = 24
    RETURNED_FIX = 25
    NOT_ACCEPTED = 26
    FILED = 27
    TRIAL_SMALL = 28
    TRIAL_SIMPLE = 29
    TRIAL_ORDINARY = 30
    JUDGED = 31
    APPEALED = 32
    EFFECTIVE = 33
    COURT_MEDIATED = 34
    SUIT_WITHDRAWN = 35
    ENF_APPLIED = 36
    ENFORCING = 37
    ENF_SETTLED = 38
    ENF_ROUND_ENDED = 39
    REFERRED_POLICE = 40
    REFERRED_PROSECUTOR = 41
    REJECTED = 42
    WITHDRAWN = 43
    CLOSED = 44
    ENF_CLOSED = 45


LIFECYCLE_V1 = Lifecycle(
    version=1,
    source_digest=bytes.fromhex("6a14cd9393a129a3c741af82c632ae09016f32be76cf2abdb859294399af8fb4"),
    stages={
        1: Stage(code=1, name="IMPORTED", label=Text(zh="已导入", en="imported"), plain=Text(zh="银行把这起纠纷提交到中心，中心还没有受理。", en="The bank has brought this dispute to the centre. The centre has not accepted it yet."), clock=Clock(name="triage", count=2, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="受理审查", en="triage")), holds=(6, 7,)),
        2: Stage(code=2, name="ADMITTED", label=Text(zh="已受理", en="admitted"), plain=Text(zh="中心受理了这起纠纷，正在决定由谁处理。", en="The centre has accepted this dispute and is deciding who handles it."), clock=Clock(name="routing", count=2, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="分流", en="routing")), holds=(6, 7,)),
        3: Stage(code=3, name="COMPLETION", label=Text(zh="待补材料", en="to be completed"), plain=Text(zh="银行的材料不齐，正在补充。", en="The bank's papers are incomplete and are being completed."), clock=Clock(name="completion", count=10, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="补充材料", en="completion")), holds=(7,)),
        4: Stage(code=4, name="SPECIAL", label=Text(zh="专案处理", en="special group"), plain=Text(zh="您的情况需要专人照顾，由专门小组人工处理。", en="Your situation needs special care. A special group of people handles it."), clock=Clock(name="special", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="专案处理", en="special group")), holds=(4, 5, 6, 7,)),
        5: Stage(code=5, name="CENTRAL", label=Text(zh="集中处置", en="central handling"), plain=Text(zh="中心正在联系双方，看能不能直接谈妥。", en="The centre is contacting both sides to see whether you can agree directly."), clock=Clock(name="central", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="集中处置", en="central handling")), holds=(4, 5, 6, 7,)),
        6: Stage(code=6, name="SETTLED", label=Text(zh="集中处置和解", en="settled centrally"), plain=Text(zh="双方已谈妥，正在等待签署与冷静期结束。", en="You have agreed. Signing and the cooling-off time are still to pass."), clock=Clock(name="cooling-off", count=24, unit=Unit.HOURS, article="house", label=Text(zh="冷静期", en="cooling-off")), holds=(7,)),
        7: Stage(code=7, name="MED_OFFERED", label=Text(zh="待调解", en="mediation offered"), plain=Text(zh="中心建议调解，正在征求双方意见。不同意不会有不利后果。", en="Mediation is offered and both sides are asked. Saying no has no disadvantage."), clock=Clock(name="mediation-offer", count=3, unit=Unit.WORKING_DAYS, article="OM 10, 12, 15", label=Text(zh="征询调解意愿", en="asking for consent to mediation")), holds=(4, 6, 7,)),
        8: Stage(code=8, name="MEDIATING", label=Text(zh="调解中", en="mediation"), plain=Text(zh="调解员正在帮助双方协商。您可以随时退出。", en="A mediator is helping both sides. You may leave at any time."), clock=Clock(name="mediation", count=30, unit=Unit.DAYS, article="OM 24; IM 27", label=Text(zh="诉前调解", en="mediation before suit")), holds=(3, 4, 7,)),
        9: Stage(code=9, name="MED_AGREED", label=Text(zh="调解成功", en="mediation agreed"), plain=Text(zh="双方签了调解协议。三十天内可以一起申请法院确认。", en="Both sides signed. Within thirty days you may together ask the court to confirm it."), clock=Clock(name="confirmation-application", count=30, unit=Unit.DAYS, article="CPL 205", label=Text(zh="申请司法确认", en="application for confirmation")), holds=(7,)),
        10: Stage(code=10, name="MED_FAILED", label=Text(zh="调解不成", en="mediation failed"), plain=Text(zh="这次没有谈成。调解里说过的话不会用来对付您。", en="No agreement this time. What was said in mediation is not used against you."), clock=Clock(name="after-mediation", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="调解后处理", en="after mediation")), holds=(5, 7,)),
        11: Stage(code=11, name="CONF_APPLIED", label=Text(zh="司法确认审查中", en="confirmation under review"), plain=Text(zh="法院正在审查调解协议。", en="The court is reviewing the mediation agreement."), clock=Clock(name="confirmation", count=30, unit=Unit.DAYS, article="CPL 187", label=Text(zh="司法确认审查", en="review for confirmation")), holds=(2, 4,), court=True),
        12: Stage(code=12, name="CONFIRMED", label=Text(zh="司法确认有效", en="confirmed"), plain=Text(zh="法院确认了协议，协议可以强制执行。", en="The court confirmed the agreement. It can be enforced."), clock=Clock(name="enforcement-application", count=2, unit=Unit.YEARS, article="CPL 250", label=Text(zh="申请执行", en="application for enforcement")), holds=(7,), court=True),
        13: Stage(code=13, name="CONF_REJECTED", label=Text(zh="驳回司法确认", en="confirmation rejected"), plain=Text(zh="法院没有确认协议，双方可以改协议或者起诉。", en="The court did not confirm. You may change the agreement, or sue."), clock=Clock(name="after-confirmation", count=15, unit=Unit.WORKING_DAYS, article="CPL 206; house", label=Text(zh="驳回后处理", en="after rejection")), holds=(7,), court=True),
        14: Stage(code=14, name="PERFORMING", label=Text(zh="履行中", en="performing"), plain=Text(zh="正在按协议还款。", en="Payments are being made as agreed."), clock=Clock(name="performance", count=60, unit=Unit.MONTHS, article="house; longest card instalment plan", label=Text(zh="履行期", en="time for performance")), holds=(4, 7,)),
        15: Stage(code=15, name="PERFORMED", label=Text(zh="履行完毕", en="performed"), plain=Text(zh="已全部还清。可以要求开具证明。", en="All is paid. You may ask for a certificate."), clock=Clock(name="closing", count=10, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="结案", en="closing")), holds=(7,)),
        16: Stage(code=16, name="BREACHED", label=Text(zh="违约", en="breached"), plain=Text(zh="有款项没有按约定付。先补上，就可以恢复。", en="A payment was missed. If you make it up, the plan goes on."), clock=Clock(name="cure", count=7, unit=Unit.DAYS, article="house", label=Text(zh="补救期", en="time to cure")), holds=(4, 7,)),
        17: Stage(code=17, name="PO_APPLIED", label=Text(zh="申请支付令", en="payment order applied for"), plain=Text(zh="银行申请支付令，法院正在审查。", en="The bank asked for a payment order. The court is reviewing it."), clock=Clock(name="order-acceptance", count=15, unit=Unit.DAYS, article="CPL 226, 227", label=Text(zh="支付令审查", en="review of the payment order")), holds=(4,), court=True),
        18: Stage(code=18, name="PO_ISSUED", label=Text(zh="支付令已发出", en="payment order issued"), plain=Text(zh="法院发出了支付令，正在送达。", en="The court issued a payment order. It is being served."), clock=Clock(name="order-service", count=30, unit=Unit.DAYS, article="CPI 430", label=Text(zh="支付令送达", en="service of the payment order")), court=True),
        19: Stage(code=19, name="PO_SERVED", label=Text(zh="支付令已送达", en="payment order served"), plain=Text(zh="您收到支付令后有十五天：可以付款，也可以书面提出异议。", en="From receipt you have fifteen days to pay or to object in writing."), clock=Clock(name="order-objection", count=15, unit=Unit.DAYS, article="CPL 227", label=Text(zh="支付令异议期", en="time to object to the order")), holds=(4,), court=True),
        20: Stage(code=20, name="PO_EFFECTIVE", label=Text(zh="支付令生效", en="payment order effective"), plain=Text(zh="没有异议也没有付款，支付令可以强制执行。", en="Neither objection nor payment came. The order can be enforced."), clock=Clock(name="enforcement-application", count=2, unit=Unit.YEARS, article="CPL 250", label=Text(zh="申请执行", en="application for enforcement")), holds=(7,), court=True),
        21: Stage(code=21, name="PO_REJECTED", label=Text(zh="驳回支付令申请", en="payment order refused"), plain=Text(zh="法院没有发支付令。", en="The court did not issue a payment order."), clock=Clock(name="after-order", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="驳回后处理", en="after refusal")), court=True),
        22: Stage(code=22, name="PO_LAPSED", label=Text(zh="支付令失效", en="payment order lapsed"), plain=Text(zh="支付令失效了。银行七天内不反对，案件会转入诉讼。", en="The order lapsed. Unless the bank declines within seven days, the case goes on as a suit."), clock=Clock(name="decline-suit", count=7, unit=Unit.DAYS, article="CPL 228; CPI 438, 439", label=Text(zh="表示不起诉", en="time to decline a suit"))),
        23: Stage(code=23, name="CREDITOR_DECLINED", label=Text(zh="债权人不同意起诉", en="creditor declined suit"), plain=Text(zh="银行暂时不起诉。", en="The bank does not sue for now."), clock=Clock(name="after-decline", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="后续处理", en="what follows"))),
        24: Stage(code=24, name="TRANSFERRED", label=Text(zh="已移送法院", en="transferred to the court"), plain=Text(zh="案件已交给法院，法院七天内决定是否立案。", en="The case went to the court, which decides on filing within seven days."), clock=Clock(name="filing", count=7, unit=Unit.DAYS, article="CPL 126", label=Text(zh="立案审查", en="review for filing")), holds=(5,)),
        25: Stage(code=25, name="RETURNED_FIX", label=Text(zh="退回补正", en="returned for correction"), plain=Text(zh="法院一次列出了要补正的内容。", en="The court listed once, in full, what must be corrected."), clock=Clock(name="correction", count=7, unit=Unit.DAYS, article="OL 9; house", label=Text(zh="补正", en="correction")), court=True),
        26: Stage(code=26, name="NOT_ACCEPTED", label=Text(zh="不予受理", en="filing refused"), plain=Text(zh="法院裁定不受理，银行十天内可以上诉。", en="The court refused the filing. The bank may appeal within ten days."), clock=Clock(name="ruling-appeal", count=10, unit=Unit.DAYS, article="CPL 171", label=Text(zh="对裁定上诉", en="appeal against the ruling")), court=True),
        27: Stage(code=27, name="FILED", label=Text(zh="已立案", en="filed"), plain=Text(zh="法院已立案，会在五天内把起诉状副本发给您。", en="The court filed the case and sends you the claim within five days."), clock=Clock(name="copy-to-defendant", count=5, unit=Unit.DAYS, article="CPL 128", label=Text(zh="发送起诉状副本", en="copy to the defendant")), holds=(1, 2, 5,), court=True),
        28: Stage(code=28, name="TRIAL_SMALL", label=Text(zh="小额诉讼审理中", en="small-claims trial"), plain=Text(zh="按小额诉讼审理，一审就是终审。不适合的话您可以在开庭前提出异议。", en="Tried as a small claim, with no appeal. If that does not fit you may object before the hearing."), clock=Clock(name="trial-small", count=2, unit=Unit.MONTHS, article="CPL 168", label=Text(zh="小额诉讼审限", en="trial, small claims")), holds=(1, 2, 3, 4, 5, 8,), court=True),
        29: Stage(code=29, name="TRIAL_SIMPLE", label=Text(zh="简易程序审理中", en="summary trial"), plain=Text(zh="按简易程序审理。", en="Tried in summary procedure."), clock=Clock(name="trial-simple", count=3, unit=Unit.MONTHS, article="CPL 164", label=Text(zh="简易程序审限", en="trial, summary")), holds=(1, 2, 3, 4, 5, 8,), court=True),
        30: Stage(code=30, name="TRIAL_ORDINARY", label=Text(zh="普通程序审理中", en="ordinary trial"), plain=Text(zh="按普通程序审理。", en="Tried in ordinary procedure."), clock=Clock(name="trial-ordinary", count=6, unit=Unit.MONTHS, article="CPL 152", label=Text(zh="普通程序审限", en="trial, ordinary")), holds=(1, 2, 3, 4, 5, 8,), court=True),
        31: Stage(code=31, name="JUDGED", label=Text(zh="已判决", en="judged"), plain=Text(zh="法院判决了。收到判决后十五天内可以上诉。", en="The court has judged. You may appeal within fifteen days of receipt."), clock=Clock(name="appeal", count=15, unit=Unit.DAYS, article="CPL 171", label=Text(zh="上诉期", en="time to appeal")), holds=(2, 4,), court=True),
        32: Stage(code=32, name="APPEALED", label=Text(zh="上诉审理中", en="on appeal"), plain=Text(zh="上一级法院正在审理。", en="The higher court is hearing the case."), clock=Clock(name="appeal-trial", count=3, unit=Unit.MONTHS, article="CPL 183", label=Text(zh="二审审限", en="trial on appeal")), holds=(1, 2, 3, 4, 5, 8,), court=True),
        33: Stage(code=33, name="EFFECTIVE", label=Text(zh="裁判生效", en="effective"), plain=Text(zh="判决已生效。按判决还款；不还，银行可以申请强制执行。", en="The judgment is effective. Pay as it says; else the bank may ask for enforcement."), clock=Clock(name="enforcement-application", count=2, unit=Unit.YEARS, article="CPL 250", label=Text(zh="申请执行", en="application for enforcement")), holds=(7,), court=True),
        34: Stage(code=34, name="COURT_MEDIATED", label=Text(zh="法院调解结案", en="mediated in court"), plain=Text(zh="在法院主持下达成调解，调解书可以强制执行。", en="Agreed before the court. The record can be enforced."), clock=Clock(name="enforcement-application", count=2, unit=Unit.YEARS, article="CPL 250", label=Text(zh="申请执行", en="application for enforcement")), holds=(7,), court=True),
        35: Stage(code=35, name="SUIT_WITHDRAWN", label=Text(zh="准许撤诉", en="suit withdrawn"), plain=Text(zh="法院准许银行撤诉。", en="The court allowed the bank to withdraw its suit."), clock=Clock(name="after-withdrawal", count=15, unit=Unit.WORKING_DAYS, article="house", label=Text(zh="撤诉后处理", en="after withdrawal")), court=True),
        36: Stage(code=36, name="ENF_APPLIED", label=Text(zh="申请执行", en="enforcement applied for"), plain=Text(zh="银行申请强制执行，执行部门正在审查。", en="The bank asked for enforcement. The bureau is reviewing it."), clock=Clock(name="enforcement-filing", count=7, unit=Unit.DAYS, article="CPL 126", label=Text(zh="执行立案", en="filing of the enforcement")), court=True),
        37: Stage(code=37, name="ENFORCING", label=Text(zh="执行中", en="enforcing"), plain=Text(zh="正在执行。生活必需的费用会依法保留。", en="Enforcement runs. What you need to live on is kept for you by law."), clock=Clock(name="enforcement", count=6, unit=Unit.MONTHS, article="CPL 237", label=Text(zh="执行期限", en="enforcement")), holds=(7, 9,), court=True),
        38: Stage(code=38, name="ENF_SETTLED", label=Text(zh="执行和解", en="settled in enforcement"), plain=Text(zh="执行中双方和解，按和解协议还款。", en="You settled during enforcement. Pay as agreed."), clock=Clock(name="enforcement-settlement", count=60, unit=Unit.MONTHS, article="CPL 241; house", label=Text(zh="和解履行", en="performance of the settlement")), holds=(7,), court=True),
        39: Stage(code=39, name="ENF_ROUND_ENDED", label=Text(zh="终结本次执行", en="round of enforcement ended"), plain=Text(zh="暂时没有可执行的财产。以后发现财产，可以恢复执行。", en="No assets were found for now. If some are found later, enforcement resumes."), clock=Clock(name="asset-recheck", count=6, unit=Unit.MONTHS, article="CPI 517; house", label=Text(zh="财产复查", en="assets checked again")), court=True),
        40: Stage(code=40, name="REFERRED_POLICE", label=Text(zh="移送公安", en="referred to the police"), plain=Text(zh="有涉嫌犯罪的线索，已交公安机关审查。", en="There are signs of a crime. The police are examining them."), clock=Clock(name="referral", count=30, unit=Unit.DAYS, article="house", label=Text(zh="移送回复", en="answer to the referral"))),
        41: Stage(code=41, name="REFERRED_PROSECUTOR", label=Text(zh="移送检察", en="referred to the prosecutor"), plain=Text(zh="有关线索已交检察机关审查。", en="The matter was given to the prosecutor to examine."), clock=Clock(name="referral", count=30, unit=Unit.DAYS, article="house", label=Text(zh="移送回复", en="answer to the referral"))),
        42: Stage(code=42, name="REJECTED", label=Text(zh="中心不予受理", en="not admitted"), plain=Text(zh="中心没有受理这起纠纷。", en="The centre did not accept this dispute."), clock=None, final=True),
        43: Stage(code=43, name="WITHDRAWN", label=Text(zh="银行撤回", en="withdrawn"), plain=Text(zh="银行撤回了这起纠纷。", en="The bank withdrew this dispute."), clock=None, final=True),
        44: Stage(code=44, name="CLOSED", label=Text(zh="结案", en="closed"), plain=Text(zh="这起纠纷已经结束。", en="This dispute has ended."), clock=None, final=True),
        45: Stage(code=45, name="ENF_CLOSED", label=Text(zh="执行结案", en="enforcement closed"), plain=Text(zh="执行已经结束。", en="Enforcement has ended."), clock=None, court=True, final=True),
    },
    transitions={
        1: Transition(id=1, name="admit", sources=(1, 3,), target=2, by=8, beside=0, label=Text(zh="受理", en="admit"), article="house", evidence=(EvidenceNeed(classes=(EvidenceClass.CONTRACT,), roles=32768), EvidenceNeed(classes=(EvidenceClass.STATEMENT,), roles=32768),)),
        2: Transition(id=2, name="ask-completion", sources=(1, 2,), target=3, by=8, beside=0, label=Text(zh="要求补充材料", en="ask for completion"), article="house"),
        3: Transition(id=3, name="reject", sources=(1, 2, 3, 4,), target=42, by=8, beside=0, label=Text(zh="不予受理", en="reject"), article="house", reasons=(Reason(code=1, name="duplicate", label=Text(zh="重复", en="duplicate")), Reason(code=2, name="out-of-scope", label=Text(zh="不在受理范围", en="out of scope")), Reason(code=3, name="time-barred-doubt", label=Text(zh="时效存疑且未补证", en="limitation in doubt and not shown otherwise")), Reason(code=4, name="incomplete", label=Text(zh="逾期未补正", en="not completed in time")), Reason(code=5, name="suspected-false", label=Text(zh="涉嫌虚假", en="suspected to be false")),)),
        4: Transition(id=4, name="withdraw", sources=(1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 21, 23, 25, 26, 35, 16,), target=43, by=32768, beside=0, label=Text(zh="银行撤回", en="withdraw"), article="house", held=True, reasons=(Reason(code=1, name="settled", label=Text(zh="已和解", en="settled")), Reason(code=2, name="paid", label=Text(zh="已清偿", en="paid")), Reason(code=3, name="mistake", label=Text(zh="误报", en="imported by mistake")), Reason(code=4, name="other", label=Text(zh="其他", en="other")),)),
        5: Transition(id=5, name="route-central", sources=(2, 4,), target=5, by=8, beside=0, label=Text(zh="分流到集中处置", en="route to central handling"), article="house"),
        6: Transition(id=6, name="route-special", sources=(2, 5, 7,), target=4, by=8, beside=0, label=Text(zh="转专案", en="route to the special group"), article="OL 2"),
        7: Transition(id=7, name="offer-mediation", sources=(2, 5, 4, 10, 13, 16,), target=7, by=8, beside=0, label=Text(zh="建议调解", en="offer mediation"), article="OM 10"),
        8: Transition(id=8, name="settle", sources=(5, 4,), target=6, by=32768, beside=8, label=Text(zh="达成和解", en="settle"), article="house", evidence=(EvidenceNeed(classes=(EvidenceClass.AGREEMENT,), roles=32776),)),
        9: Transition(id=9, name="settlement-binds", sources=(6,), target=14, by=8, beside=0, label=Text(zh="和解生效", en="settlement binds"), article="house", when=When.AFTER),
        10: Transition(id=10, name="settlement-dropped", sources=(6,), target=5, by=8, beside=0, label=Text(zh="冷静期内反悔", en="settlement dropped in cooling-off"), article="house", when=When.BEFORE),
        11: Transition(id=11, name="mediation-starts", sources=(7,), target=8, by=16, beside=0, label=Text(zh="开始调解", en="mediation starts"), article="OM 4, 12; PML 17", evidence=(EvidenceNeed(classes=(EvidenceClass.IDENTITY_CHECK,), roles=24),), consent=Consent.MEDIATION),
        12: Transition(id=12, name="mediation-not-taken", sources=(7,), target=10, by=24, beside=0, label=Text(zh="未能开始调解", en="mediation not taken up"), article="PML 17", reasons=(Reason(code=1, name="declined", label=Text(zh="拒绝调解", en="mediation declined")), Reason(code=2, name="unreachable", label=Text(zh="联系不上", en="not reached")), Reason(code=3, name="unsuitable", label=Text(zh="不宜调解", en="unsuitable for mediation")),)),
        13: Transition(id=13, name="mediation-prolonged", sources=(8,), target=8, by=16, beside=32768, label=Text(zh="合意延长调解", en="mediation prolonged by all"), article="OM 24; IM 27", when=When.BEFORE, extends=True, consent=Consent.MEDIATION, clock=Clock(name="mediation-prolonged", count=30, unit=Unit.DAYS, article="OM 24; IM 27", label=Text(zh="合意延长调解", en="mediation prolonged by all"))),
        14: Transition(id=14, name="mediation-agreed", sources=(8,), target=9, by=16, beside=32768, label=Text(zh="达成调解协议", en="mediation agreed"), article="OM 19, 25", evidence=(EvidenceNeed(classes=(EvidenceClass.AGREEMENT,), roles=24),)),
        15: Transition(id=15, name="mediation-ends", sources=(8,), target=10, by=16, beside=0, label=Text(zh="调解终结", en="mediation ends"), article="OM 25", held=True, reasons=(Reason(code=2, name="settled-themselves", label=Text(zh="当事人自行和解并撤回申请", en="parties settled by themselves and withdrew")), Reason(code=3, name="unreachable", label=Text(zh="期限内联系不上当事人", en="a party could not be reached in time")), Reason(code=4, name="party-declines", label=Text(zh="一方明确不愿继续", en="a party clearly declines to go on")), Reason(code=5, name="far-apart", label=Text(zh="分歧大难以达成协议", en="too far apart to agree")), Reason(code=6, name="time-ran-out", label=Text(zh="期限届满且未合意延长", en="time ran out and not all agreed to more")), Reason(code=7, name="not-signed", label=Text(zh="一方拒绝在协议上签章", en="a party refuses to sign the agreement")), Reason(code=8, name="other", label=Text(zh="其他无法进行的情形", en="another reason why mediation cannot go on")),)),
        16: Transition(id=16, name="mediation-expires", sources=(8,), target=10, by=0, beside=0, label=Text(zh="调解期满", en="mediation expires"), article="OM 25", when=When.AFTER, lapse=True),
        17: Transition(id=17, name="agreement-performed-at-once", sources=(6, 9,), target=15, by=32768, beside=0, label=Text(zh="当即履行", en="performed at once"), article="CPL 101", fact=Fact.REPAID),
        18: Transition(id=18, name="agreement-performing", sources=(9,), target=14, by=24, beside=0, label=Text(zh="按协议履行", en="performance begins"), article="PML 31"),
        19: Transition(id=19, name="confirmation-filed", sources=(9, 16,), target=11, by=32, beside=0, label=Text(zh="受理司法确认", en="confirmation filed"), article="CPL 205", court_rule=CourtRule.SETS, evidence=(EvidenceNeed(classes=(EvidenceClass.AGREEMENT,), roles=24),)),
        20: Transition(id=20, name="confirmed", sources=(11,), target=12, by=32, beside=0, label=Text(zh="裁定有效", en="agreement confirmed"), article="CPL 206", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        21: Transition(id=21, name="confirmation-rejected", sources=(11,), target=13, by=32, beside=0, label=Text(zh="裁定驳回", en="confirmation rejected"), article="CPL 206", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),), reasons=(Reason(code=1, name="jurisdiction", label=Text(zh="不属本院管辖", en="no jurisdiction")), Reason(code=2, name="conditions", label=Text(zh="不符合条件", en="conditions not met")), Reason(code=3, name="law", label=Text(zh="违反法律或公序良俗", en="against law or public order")), Reason(code=4, name="not-served", label=Text(zh="无法送达", en="cannot be served")), Reason(code=5, name="other", label=Text(zh="其他", en="other")),)),
        22: Transition(id=22, name="confirmation-prolonged", sources=(11,), target=11, by=32, beside=0, label=Text(zh="院长批准延长审查", en="review prolonged by the president"), article="CPL 187", when=When.BEFORE, court_rule=CourtRule.SAME, extends=True, clock=Clock(name="confirmation-prolonged", count=30, unit=Unit.DAYS, article="CPL 187", label=Text(zh="院长批准延长审查", en="review prolonged by the president"))),
        23: Transition(id=23, name="performed", sources=(14, 16, 12, 19, 20, 33, 34, 38,), target=15, by=32768, beside=0, label=Text(zh="履行完毕", en="performed"), article="house", held=True, fact=Fact.REPAID),
        24: Transition(id=24, name="breached", sources=(14,), target=16, by=32768, beside=24, label=Text(zh="违约", en="breached"), article="house", fact=Fact.DEFAULTED),
        25: Transition(id=25, name="cured", sources=(16,), target=14, by=32768, beside=0, label=Text(zh="补救", en="cured"), article="house", fact=Fact.REPAID),
        26: Transition(id=26, name="transfer", sources=(2, 5, 4, 10, 13, 21, 23, 25, 35,), target=24, by=32776, beside=0, label=Text(zh="移送法院", en="transfer to the court"), article="IM 21", evidence=(EvidenceNeed(classes=(EvidenceClass.CONTRACT,), roles=32768), EvidenceNeed(classes=(EvidenceClass.STATEMENT,), roles=32768),)),
        27: Transition(id=27, name="transfer-after-breach", sources=(16,), target=24, by=32776, beside=0, label=Text(zh="违约后移送", en="transfer after a breach"), article="IM 25", when=When.AFTER, evidence=(EvidenceNeed(classes=(EvidenceClass.AGREEMENT,), roles=32792),)),
        28: Transition(id=28, name="order-filed", sources=(5, 10,), target=17, by=32, beside=32768, label=Text(zh="受理支付令申请", en="payment order filed"), article="CPL 225, 226", court_rule=CourtRule.SETS, evidence=(EvidenceNeed(classes=(EvidenceClass.CONTRACT,), roles=32768), EvidenceNeed(classes=(EvidenceClass.STATEMENT,), roles=32768),)),
        29: Transition(id=29, name="order-issued", sources=(17,), target=18, by=32, beside=0, label=Text(zh="发出支付令", en="payment order issued"), article="CPL 227", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        30: Transition(id=30, name="order-refused", sources=(17,), target=21, by=32, beside=0, label=Text(zh="驳回支付令申请", en="payment order refused"), article="CPL 227", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),), reasons=(Reason(code=1, name="jurisdiction", label=Text(zh="不属本院管辖", en="no jurisdiction")), Reason(code=2, name="conditions", label=Text(zh="不符合条件", en="conditions not met")), Reason(code=3, name="law", label=Text(zh="违反法律或公序良俗", en="against law or public order")), Reason(code=4, name="not-served", label=Text(zh="无法送达", en="cannot be served")), Reason(code=5, name="other", label=Text(zh="其他", en="other")),)),
        31: Transition(id=31, name="order-served", sources=(18,), target=19, by=32, beside=0, label=Text(zh="支付令送达", en="payment order served"), article="CPL 227", when=When.BEFORE, court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.SERVICE_VOUCHER,), roles=32),)),
        32: Transition(id=32, name="order-not-served", sources=(18,), target=22, by=0, beside=0, label=Text(zh="支付令未能送达", en="payment order not served"), article="CPI 430", when=When.AFTER, lapse=True),
        33: Transition(id=33, name="order-ended", sources=(18, 19,), target=22, by=32, beside=0, label=Text(zh="终结督促程序", en="payment order ended"), article="CPL 228", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),), reasons=(Reason(code=1, name="objection", label=Text(zh="书面异议成立", en="written objection upheld")), Reason(code=2, name="not-served", label=Text(zh="三十日内未能送达", en="not served within thirty days")), Reason(code=3, name="sued", label=Text(zh="债权人已就同一债务起诉", en="creditor sued over the same debt")),)),
        34: Transition(id=34, name="order-effective", sources=(19,), target=20, by=32, beside=0, label=Text(zh="支付令生效", en="payment order effective"), article="CPL 227", when=When.AFTER, court_rule=CourtRule.SAME),
        35: Transition(id=35, name="suit-declined", sources=(22,), target=23, by=32768, beside=0, label=Text(zh="不同意起诉", en="suit declined"), article="CPL 228; CPI 438", when=When.BEFORE),
        36: Transition(id=36, name="order-to-suit", sources=(22,), target=27, by=32, beside=0, label=Text(zh="转入诉讼", en="goes on as a suit"), article="CPL 228", when=When.AFTER, court_rule=CourtRule.SAME),
        37: Transition(id=37, name="fix-required", sources=(24,), target=25, by=32, beside=0, label=Text(zh="一次性告知补正", en="correction required"), article="OL 9", evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        38: Transition(id=38, name="filing-refused", sources=(24,), target=26, by=32, beside=0, label=Text(zh="裁定不予受理", en="filing refused"), article="CPL 126", evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),), reasons=(Reason(code=1, name="jurisdiction", label=Text(zh="不属本院管辖", en="no jurisdiction")), Reason(code=2, name="conditions", label=Text(zh="不符合条件", en="conditions not met")), Reason(code=3, name="law", label=Text(zh="违反法律或公序良俗", en="against law or public order")), Reason(code=4, name="not-served", label=Text(zh="无法送达", en="cannot be served")), Reason(code=5, name="other", label=Text(zh="其他", en="other")),)),
        39: Transition(id=39, name="filed", sources=(24,), target=27, by=32, beside=0, label=Text(zh="立案", en="filed"), article="CPL 126", court_rule=CourtRule.SETS),
        40: Transition(id=40, name="filed-on-appeal", sources=(26,), target=27, by=32, beside=0, label=Text(zh="上级指令立案", en="filed on appeal"), article="CPL 126, 171", court_rule=CourtRule.SETS, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        41: Transition(id=41, name="refusal-final", sources=(26,), target=44, by=32, beside=0, label=Text(zh="不予受理生效", en="refusal final"), article="CPL 171", when=When.AFTER),
        42: Transition(id=42, name="small-track", sources=(27,), target=28, by=32, beside=0, label=Text(zh="适用小额诉讼", en="small-claims track"), article="CPL 165", court_rule=CourtRule.SAME),
        43: Transition(id=43, name="simple-track", sources=(27,), target=29, by=32, beside=0, label=Text(zh="适用简易程序", en="summary track"), article="CPL 160", court_rule=CourtRule.SAME),
        44: Transition(id=44, name="ordinary-track", sources=(27,), target=30, by=32, beside=0, label=Text(zh="适用普通程序", en="ordinary track"), article="CPL 136", court_rule=CourtRule.SAME),
        45: Transition(id=45, name="small-to-simple", sources=(28,), target=29, by=32, beside=0, label=Text(zh="小额转简易", en="small claims to summary"), article="CPL 169", court_rule=CourtRule.SAME, reasons=(Reason(code=1, name="counterclaim", label=Text(zh="反诉或变更请求", en="counterclaim or changed claim")), Reason(code=2, name="appraisal", label=Text(zh="需要鉴定", en="appraisal needed")), Reason(code=3, name="objection", label=Text(zh="当事人异议成立", en="a party's objection upheld")), Reason(code=4, name="unreachable", label=Text(zh="当事人下落不明", en="a party cannot be found")), Reason(code=5, name="complex", label=Text(zh="案情复杂", en="complex facts")),)),
        46: Transition(id=46, name="to-ordinary", sources=(28, 29,), target=30, by=32, beside=0, label=Text(zh="转普通程序", en="to ordinary procedure"), article="CPL 169, 170", court_rule=CourtRule.SAME, reasons=(Reason(code=1, name="counterclaim", label=Text(zh="反诉或变更请求", en="counterclaim or changed claim")), Reason(code=2, name="appraisal", label=Text(zh="需要鉴定", en="appraisal needed")), Reason(code=3, name="objection", label=Text(zh="当事人异议成立", en="a party's objection upheld")), Reason(code=4, name="unreachable", label=Text(zh="当事人下落不明", en="a party cannot be found")), Reason(code=5, name="complex", label=Text(zh="案情复杂", en="complex facts")),)),
        47: Transition(id=47, name="small-prolonged", sources=(28,), target=28, by=32, beside=0, label=Text(zh="小额延长审限", en="small claims prolonged"), article="CPL 168", when=When.BEFORE, court_rule=CourtRule.SAME, extends=True, clock=Clock(name="small-prolonged", count=1, unit=Unit.MONTHS, article="CPL 168", label=Text(zh="小额延长审限", en="small claims prolonged"))),
        48: Transition(id=48, name="simple-prolonged", sources=(29,), target=29, by=32, beside=0, label=Text(zh="简易延长审限", en="summary trial prolonged"), article="CPL 164", when=When.BEFORE, court_rule=CourtRule.SAME, extends=True, clock=Clock(name="simple-prolonged", count=1, unit=Unit.MONTHS, article="CPL 164", label=Text(zh="简易延长审限", en="summary trial prolonged"))),
        49: Transition(id=49, name="ordinary-prolonged", sources=(30,), target=30, by=32, beside=0, label=Text(zh="普通延长审限", en="ordinary trial prolonged"), article="CPL 152", when=When.BEFORE, court_rule=CourtRule.SAME, extends=True, clock=Clock(name="ordinary-prolonged", count=6, unit=Unit.MONTHS, article="CPL 152", label=Text(zh="普通延长审限", en="ordinary trial prolonged"))),
        50: Transition(id=50, name="judged-small", sources=(28,), target=33, by=32, beside=0, label=Text(zh="小额判决（一审终审）", en="judged, small claims (final)"), article="CPL 165", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        51: Transition(id=51, name="judged", sources=(29, 30,), target=31, by=32, beside=0, label=Text(zh="判决", en="judged"), article="CPL 155", court_rule=CourtRule.SAME, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        52: Transition(id=52, name="mediated-in-court", sources=(27, 28, 29, 30,), target=34, by=32, beside=0, label=Text(zh="调解书结案", en="mediated in court"), article="CPL 100", court_rule=CourtRule.SAME, held=True, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        53: Transition(id=53, name="suit-withdrawn", sources=(27, 28, 29, 30,), target=35, by=32, beside=0, label=Text(zh="准许撤诉", en="suit withdrawn"), article="CPL 148", court_rule=CourtRule.SAME, held=True, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        54: Transition(id=54, name="appealed", sources=(31,), target=32, by=32, beside=0, label=Text(zh="受理上诉", en="appeal filed"), article="CPL 171"),
        55: Transition(id=55, name="appeal-decided", sources=(32,), target=33, by=32, beside=0, label=Text(zh="二审判决", en="appeal decided"), article="CPL 177, 182", evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        56: Transition(id=56, name="appeal-mediated", sources=(32,), target=34, by=32, beside=0, label=Text(zh="二审调解", en="mediated on appeal"), article="CPL 179", held=True, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        57: Transition(id=57, name="remanded", sources=(32,), target=30, by=32, beside=0, label=Text(zh="发回重审", en="remanded"), article="CPL 177", court_rule=CourtRule.SETS, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),)),
        58: Transition(id=58, name="judgment-effective", sources=(31,), target=33, by=32, beside=0, label=Text(zh="判决生效", en="judgment effective"), article="CPL 158, 171", when=When.AFTER, court_rule=CourtRule.SAME),
        59: Transition(id=59, name="enforcement-filed", sources=(12, 20, 33, 34,), target=36, by=32, beside=32768, label=Text(zh="受理执行申请", en="enforcement filed"), article="CPL 247, 250"),
        60: Transition(id=60, name="enforcement-starts", sources=(36,), target=37, by=96, beside=96, label=Text(zh="开始执行", en="enforcement starts"), article="CPL 251"),
        61: Transition(id=61, name="enforcement-settled", sources=(37,), target=38, by=96, beside=32768, label=Text(zh="执行和解", en="settled in enforcement"), article="CPL 241", evidence=(EvidenceNeed(classes=(EvidenceClass.AGREEMENT, EvidenceClass.COURT_DOCUMENT,), roles=32864),)),
        62: Transition(id=62, name="enforcement-round-ends", sources=(37,), target=39, by=96, beside=0, label=Text(zh="终结本次执行程序", en="round of enforcement ends"), article="CPI 517", evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=96),), reasons=(Reason(code=1, name="no-assets", label=Text(zh="无可供执行财产", en="no assets found")), Reason(code=2, name="assets-not-realisable", label=Text(zh="财产不能处置", en="assets cannot be realised")),)),
        63: Transition(id=63, name="enforcement-resumes", sources=(38, 39,), target=37, by=96, beside=0, label=Text(zh="恢复执行", en="enforcement resumes"), article="CPL 241, 265"),
        64: Transition(id=64, name="enforcement-closes", sources=(36, 37, 38, 39,), target=45, by=96, beside=0, label=Text(zh="执行结案", en="enforcement closes"), article="CPL 268", held=True, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=96),), reasons=(Reason(code=1, name="paid", label=Text(zh="执行完毕", en="paid in full")), Reason(code=2, name="applicant-withdrew", label=Text(zh="申请人撤销申请", en="applicant withdrew")), Reason(code=3, name="title-revoked", label=Text(zh="执行依据被撤销", en="title revoked")), Reason(code=4, name="no-estate", label=Text(zh="死亡且无遗产", en="death without estate")), Reason(code=5, name="hardship", label=Text(zh="生活困难且丧失劳动能力", en="hardship without income or ability to work")), Reason(code=6, name="other", label=Text(zh="其他应当终结", en="another ground to end it")),)),
        65: Transition(id=65, name="close", sources=(15,), target=44, by=40, beside=0, label=Text(zh="结案", en="close"), article="house"),
        66: Transition(id=66, name="refer-police", sources=(4, 5, 10, 24,), target=40, by=40, beside=552, label=Text(zh="移送公安", en="refer to the police"), article="house", held=True, reasons=(Reason(code=1, name="evasion", label=Text(zh="恶意逃废债", en="evasion of debts in bad faith")), Reason(code=2, name="fraud", label=Text(zh="涉嫌诈骗", en="suspected fraud")), Reason(code=3, name="false-suit", label=Text(zh="涉嫌虚假诉讼", en="suspected false suit")), Reason(code=4, name="supervision", label=Text(zh="检察监督", en="prosecutor's supervision")),)),
        67: Transition(id=67, name="refer-prosecutor", sources=(4, 5, 10, 24,), target=41, by=40, beside=552, label=Text(zh="移送检察", en="refer to the prosecutor"), article="house", held=True, reasons=(Reason(code=1, name="evasion", label=Text(zh="恶意逃废债", en="evasion of debts in bad faith")), Reason(code=2, name="fraud", label=Text(zh="涉嫌诈骗", en="suspected fraud")), Reason(code=3, name="false-suit", label=Text(zh="涉嫌虚假诉讼", en="suspected false suit")), Reason(code=4, name="supervision", label=Text(zh="检察监督", en="prosecutor's supervision")),)),
        68: Transition(id=68, name="police-answers", sources=(40,), target=4, by=256, beside=0, label=Text(zh="公安回复", en="police answer"), article="house", reasons=(Reason(code=1, name="not-accepted", label=Text(zh="不予立案", en="no criminal case opened")), Reason(code=2, name="separate", label=Text(zh="民事部分可先行处理", en="the civil part may go on")), Reason(code=3, name="done", label=Text(zh="处理完毕", en="dealt with")),)),
        69: Transition(id=69, name="prosecutor-answers", sources=(41,), target=4, by=128, beside=0, label=Text(zh="检察回复", en="prosecutor answers"), article="house", reasons=(Reason(code=1, name="not-accepted", label=Text(zh="不予立案", en="no criminal case opened")), Reason(code=2, name="separate", label=Text(zh="民事部分可先行处理", en="the civil part may go on")), Reason(code=3, name="done", label=Text(zh="处理完毕", en="dealt with")),)),
        70: Transition(id=70, name="taken-over", sources=(40, 41,), target=44, by=384, beside=40, label=Text(zh="由刑事程序处理", en="taken over by criminal proceedings"), article="house"),
        71: Transition(id=71, name="decline-closes", sources=(23, 35,), target=44, by=40, beside=0, label=Text(zh="无后续结案", en="closed without a sequel"), article="house", when=When.AFTER),
        72: Transition(id=72, name="reopen", sources=(42, 43, 44,), target=2, by=8, beside=32768, label=Text(zh="重新受理", en="reopen"), article="house", reasons=(Reason(code=1, name="new-facts", label=Text(zh="有新情况", en="new facts")), Reason(code=2, name="mistake", label=Text(zh="结案有误", en="closed by mistake")),)),
        73: Transition(id=73, name="refer-from-trial", sources=(27, 28, 29, 30,), target=40, by=32, beside=0, label=Text(zh="裁定驳回并移送公安", en="dismissed and referred to the police"), article="house", court_rule=CourtRule.SAME, held=True, evidence=(EvidenceNeed(classes=(EvidenceClass.COURT_DOCUMENT,), roles=32),), reasons=(Reason(code=1, name="evasion", label=Text(zh="恶意逃废债", en="evasion of debts in bad faith")), Reason(code=2, name="fraud", label=Text(zh="涉嫌诈骗", en="suspected fraud")), Reason(code=3, name="false-suit", label=Text(zh="涉嫌虚假诉讼", en="suspected false suit")), Reason(code=4, name="supervision", label=Text(zh="检察监督", en="prosecutor's supervision")),)),
    },
    holds={
        1: Hold(code=1, name="suspension", by=32, article="CPL 153", label=Text(zh="中止诉讼", en="proceedings suspended")),
        2: Hold(code=2, name="public-notice", by=32, article="CPL 95", label=Text(zh="公告送达", en="service by public notice")),
        3: Hold(code=3, name="appraisal", by=56, article="CPI 243; OM 24", label=Text(zh="鉴定", en="appraisal")),
        4: Hold(code=4, name="force-majeure", by=56, article="CPL 86, 153", label=Text(zh="不可抗力或疾病", en="illness or force majeure")),
        5: Hold(code=5, name="criminal", by=40, article="CPL 153", label=Text(zh="刑民交叉", en="related criminal matter")),
        6: Hold(code=6, name="attestation", by=40, article="house", label=Text(zh="等待事实证明", en="waiting for a signed fact")),
        7: Hold(code=7, name="dispute", by=56, article="PIPL 46", label=Text(zh="当事人异议处理", en="objection of a party under review")),
        8: Hold(code=8, name="suit-mediation", by=32, article="OM 24", label=Text(zh="诉中调解", en="mediation within the suit")),
        9: Hold(code=9, name="enforcement-stay", by=96, article="CPL 267", label=Text(zh="中止执行", en="enforcement stayed")),
    },
    products={
        1: Product(code=1, name="credit-card", by=1, label=Text(zh="信用卡", en="credit card")),
        2: Product(code=2, name="small-loan", by=1, label=Text(zh="小额贷款", en="small-amount loan")),
        3: Product(code=3, name="small-enterprise-loan", by=1, label=Text(zh="小微企业贷款", en="small and micro enterprise loan")),
        4: Product(code=4, name="personal-business-loan", by=1, label=Text(zh="个人经营性贷款", en="personal business loan")),
    },
)
