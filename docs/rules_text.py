# ruff: noqa: E501 - Japanese text counts double
"""What the page of all rules says around the data, in Japanese and English."""

from receiver.law.estimate import Method
from receiver.law.provisions import Evidence, Text

TITLE = Text("規則の一覧", "All rules")
OTHER_LANGUAGE = Text("[English](../reference/rules.md)", "[日本語](../ja/rules.md)")

HOW_TO_READ = Text(
    """\
受信機が判定に使う規則を、判定に使うデータそのものから書き出したものです。数値、条文、出典、最終確認日は規則のファイルと常に一致します。

**これは法令の写しではありません。** 規則は要約です。各行の出典で原文を確認してください。
受信機が示すのは「該当する可能性（要判断）」までで、該当するかどうか、報告するかどうかは人が判断します。

それぞれの規則には、どこまで確かめられているかの印が付いています。""",
    """\
The rules that the receiver judges by, written out from the very data it uses: numbers, articles, sources and days of checking are always
those of its files. Names of laws, forms and services stand with their Japanese term, which is the one that counts.

**This is no copy of the law.** Rules are summarised: look at the source that each line names. The receiver says "may apply: a person
decides", never more. Whether something applies, and whether to report it, a person decides.

Each rule has a mark that says how well it is proven.""",
)
MARKS: dict[Evidence, Text] = {
    "read": Text(
        "条文そのものを読んで確認した（保存された写しによる。頼る前に e-Gov と照合すること）",
        "The text itself was read (in stored copies: compare with e-Gov before you rely on it).",
    ),
    "secondary": Text(
        "原文は読めていない。総務省のページ、白書、報道、引用などの二次資料による",
        "The text was not read: known from a page of the ministry, a white paper, the press or a quotation.",
    ),
    "draft": Text(
        "論点整理(案)（2023年4月5日）だけで知られる。確定したガイドライン（第7版、2023年12月7日）は入手できておらず、文言が異なり得る",
        "Known from the draft of 2023-04-05 (論点整理(案)) only; the guideline itself (7th edition, 2023-12-07) could not be obtained "
        "and may differ.",
    ),
    "assumed": Text(
        "誰も確認していない仮定、または本プログラムの解釈。使われる場面では必ず確認すること",
        "An assumption or a reading of ours that nobody has verified: verify it where it matters.",
    ),
}
BASIS = Text(
    "規則が何に基づくかも区別します：法令、ガイドライン（拘束力はないが行政の判断基準）、運用（実際の報告などから読み取れる慣行）、案（施行されていない）。",
    "What a rule rests on is told apart, too: law; guideline (how the ministry applies the law); practice (read off from what was really "
    "reported); proposal (never in force).",
)
NAMES = Text(
    "施行規則は電気通信事業法施行規則（昭和60年郵政省令第25号）、報告規則は電気通信事業報告規則（昭和63年郵政省令第46号）です。日はすべて日本時間です。",
    "*Ordinance* is 電気通信事業法施行規則 (the ordinance that implements the Telecommunications Business Act), *Reporting Rules* are "
    "電気通信事業報告規則, *Accident guideline* is 電気通信事故等に係る電気通信事業法関係法令の適用に関するガイドライン. All days are days of "
    "Asia/Tokyo.",
)
FILES = Text(
    "「次の確認」は、それまでに法令の改正を確認すべき日です。過ぎても規則は使われ続けます。施行が終わった規則には次の確認はありません。",
    "*Check by* is the day until which somebody must look whether the law has changed. A rule past it is still used. What is no longer in "
    "force has none.",
)

RULEBOOKS = Text(
    """\
事故の発生日で表を選び、項は上から順に見て、最初に当てはまる項を使います。
項を決める事実が不明なときは、当てはまり得る項のうち最も厳しい項を使い、その旨を示します。
条件はいずれか一つを満たせばよく、一つの条件の中では時間と利用者数の**両方**を要します。定期報告は時間または利用者数の**いずれか**です。
比較はすべて「以上」です。異なる役務や機能の利用者数を足し合わせて基準に達することはありません。""",
    """\
The table of the day on which the accident occurred is used. Rows are tried from the top, the first that fits has the service; where a fact
that decides the row is not known, the strictest row that may fit is taken, and said so. One condition of a row is enough; inside a
condition time **and** users must hold. The periodic report asks for time **or** users. Every comparison is ≥. Users of several services or
functions are never added together to reach a threshold.""",
)
COUNTING = Text(
    """\
役務の種類ごとに、上から順に、使える最初の方法によります。順序も計算例も、判定に使うコードから書き出しています。例の数値は説明のための架空のものです。
計算は正確な分数で行い（会議の開催確率だけは小数第12位で切り捨て）、判定には端数を切り捨てた整数を使います。""",
    """\
For each kind of service the first method from the top that can be used is used. The order and the examples come from the code that judges;
the figures in the examples are invented. All arithmetic is exact (only the chance of hosting a meeting is cut after 12 decimals), and the
integer that is judged has the rest cut off, never rounded.""",
)
COUNTING_NOTES = (
    Text(
        "別の読み方で判定が変わり得る場合は、その人数も示します（例の「他の読み方」）。どちらによるかは人が判断します。",
        "Where another reading of a rule gives another number, it is given, too (*other readings* in the examples); a person decides which.",
    ),
    Text(
        "事故が続く間、方法ごとに計測できた最大値を保持します。クエリに失敗したときの上限値は最大値に入りません。",
        "While an accident lasts the largest *measured* number of each method is kept. A bound used because a query failed never enters it.",
    ),
    Text(
        "計測した人数を人が理由を付けて下げることはできますが、上げることはできません。計測値は残ります。",
        "A person may correct a measured number downwards, with a reason, never upwards; the measured one stays visible.",
    ),
    Text(
        "継続時間を乗じるのは1時間当たりのトラフィックの差だけです。差の総量に継続時間をもう一度乗じることはありません。",
        "Only the missing traffic *per hour* is multiplied by the duration; the total is never multiplied by it again.",
    ),
)
FORMULAS: dict[Method, Text] = {
    "direct": Text(
        "利用しようとして利用できなかった（リンク・セッションを確立できなかった）利用者の数",
        "users who tried and could not use it: no link or session",
    ),
    "traffic_difference": Text(
        "(比較できる日時の1時間当たりトラフィック − 実績) の平均 ÷ 1利用者・1時間当たりのトラフィック × 継続時間。1利用者当たりが不明なら、配下の全利用者が"
        "利用していたと仮定して求める",
        "mean of (traffic per hour of a comparable day and time − actual) ÷ traffic per user and hour × duration; where traffic per user is "
        "not known, it is derived as if all users under the equipment had been using it",
    ),
    "conference_probability": Text(
        "月間アクティブユーザー数（開催者） × (1 − (1 − P)^n)。P = 1人・1か月の開催回数 × 平均時間 ÷ (営業日数 × 1日の営業時間)、最大1。n は営業時間内の"
        "障害時間",
        "monthly active hosts × (1 − (1 − P)^n), P = meetings per host and month × mean length ÷ (business days × business hours a day), at "
        "most 1; n = hours of the outage inside business hours",
    ),
    "call_shortfall": Text("(通常の通話数 − 実績) ÷ 1人当たりの通話数", "(normal calls − actual calls) ÷ calls per person"),
    "missing_registrations": Text(
        "登録者数の、比較できる時刻に対する不足の最大値", "largest shortfall of registered users against a comparable time"
    ),
    "emergency_call_loss": Text("設備配下の全利用者 × 呼損率", "all users under the equipment × call-loss rate (呼損率)"),
    "host_entitled_accounts": Text(
        "故障した設備の配下の、主催権限のあるアカウント（ライセンス）の数",
        "accounts entitled to host (licences) under the failed equipment",
    ),
    "all_under_equipment": Text("故障した設備の配下の全利用者", "all users under the failed equipment"),
    "emergency_all_under_equipment": Text(
        "故障した設備の配下の全利用者（発信しなかった者、冗長化で救われた者も含む）",
        "all users under the failed equipment, also those who did not call or were saved by redundancy",
    ),
}
NO_ORDER = Text(
    "この順序を定める文書はありません。最初と最後はデータ通信についての案にならい、間は事業者が公表した方法によります。",
    "No text gives this order: first and last are how the draft treats data, the middle is what an operator published.",
)
PER_FUNCTION = Text(
    "機能ごとに数え、足し合わせません。音声・映像は無料でも緊急通報を取り扱わない音声伝送役務、チャットは無料ならメッセージ、有料ならその他の役務として扱います。"
    "映像だけの障害は人が判断します。",
    "One function at a time, never added together. Audio and video are voice without emergency calls even when free; chat is messaging when "
    "free, another service when paid. Video alone: a person decides.",
)
SAME_CAUSE = Text(
    "利用者が互いに重ならない故障設備の組のうち、合計が最大のものを数えます（木構造なら max(親, 子の合計)）。一部だけ重なる場合は、"
    "和集合を上限として併せて判定します。冗長化・経路の分散で救われた利用者は数えません（緊急通報を取り扱う音声を除く）。",
    "The largest total over failed units whose users are pairwise disjoint counts (in a tree, max(parent, sum of its children)). Where "
    "they overlap in part, their union is judged, too, as upper bound. Users saved by redundancy or route diversity do not count, except "
    "for voice with emergency calls.",
)

DURATION = Text(
    "設備の故障から、事業者の対処によって役務が復旧するまでを数えます。役務への影響の開始から数えると判定が変わる場合は、その旨を示します。",
    "Counted from the failure of the equipment until the operator's action has the service back. Where the verdict would differ if one "
    "counted from the start of service impact, that is said.",
)
DUTIES = Text(
    "義務は「該当する可能性」から導かれるもので、義務の有無は人が判断します。事故の版は発生日で、おそれ事態は知った日で、周知・広報は利用者に影響が出た日で選びます。",
    "Duties follow from verdicts that *may apply*; whether one exists a person decides. The version is chosen by the day of occurrence, for "
    "near-misses by the day on which the matter was known, for public notices by the day on which users first felt it.",
)
NEAR_MISS = Text(
    """\
第58条の2の点検表です。影響利用者数は問いません。重大な事故に当たるものはおそれ事態ではありません。
第1号は、イからニのすべてとホのいずれか一つに当てはまり、ヘのいずれにも当てはまらないこと。第2号は、二つの質問の両方に当てはまること。
質問は要約で、条文の文言ではありません。答えのない質問を「いいえ」とみなすことはありません。""",
    """\
The checklist of Article 58-2 (おそれ事態); no number of users hit enters, and what already is a major accident is none. Class 1 (第1号): every item イ to ニ, one case of ホ, and no exclusion
of ヘ. Class 2 (第2号): both its questions. Questions are paraphrases, not the words of the ordinance. One that nobody has answered is never
taken as "no".""",
)
EFFECTS = Text(
    "何が電気通信設備の故障に当たるか、何が停止・品質の低下に当たるかです。「要判断」は、確認できた文書がその原因に触れていないことを示し、それまでは表のとおりに判定します。",
    "What is a failure of equipment (故障), a stop (停止) or lowered quality (品質の低下). *A person decides*: no text that was read names this "
    "cause; until somebody has decided, it is judged as said here.",
)
QUESTIONS = Text(
    "確かな文書が見つかっていないため、受信機が推測せず、人に尋ねる事項です。",
    "What no reliable text was found for: the receiver never guesses it, it asks.",
)

DOCUMENTS = Text(
    "アドレスのない出典です。表では番号で示します。",
    "Sources without an address; the tables name them by number.",
)
ABSENT = (
    Text(
        "**2Gbpsのみなし規定。**「総和が2Gbpsを超える状態であれば影響利用者数が3万以上であるものとみなす」旨の規定（1人当たり64kbps × 31,250人）は、"
        "廃止されたものとして扱い、帯域だけで判定することはありません。[経緯と確かさ](how-it-judges.md#2gbpsのみなし規定)",
        "**The 2 Gbps deeming rule** (more than 2 Gbps in total deemed to be at least 30,000 users; 64 kbps × 31,250 users): treated as "
        "abolished. No bandwidth alone decides anything. [Where that is from, and how sure it is]"
        "(../explanation/how-it-judges.md#the-2-gbps-rule)",
    ),
    Text(
        "**停止と品質の低下を分けた表。** 2023年の案にありましたが、確認したどの版の第58条にもありません。案の名前を指定したときだけ使います。",
        "**Separate tables for stops and lowered quality**: proposed by the draft of 2023, in no version of Article 58 that was read. Used only if that "
        "draft is asked for by name.",
    ),
    Text(
        "**「速やかに」の分数。** 法令に数値はありません。自社の目標は設定できます。",
        "**A number of minutes for 速やかに (promptly)**: the law names none. You may set a target of your own.",
    ),
    Text(
        "**情報の漏えい**（第58条第1項など）。設備の事故ではないため対象外です。",
        "**Leaks of information** (Art. 58(1) and others): not an outage.",
    ),
)
