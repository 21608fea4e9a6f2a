"""The evidence of a drill for persons (Markdown) and for what runs it (JUnit XML)."""

from xml.etree import ElementTree as ET

from receiver.law.wording import clock_time
from receiver.operations.drill import Drill


def markdown(drill: Drill) -> str:
    """A page to keep: what was done when, and what was made where."""
    lines = [
        f"# 訓練の記録 / Drill {drill.equipment}",
        "",
        f"- 結果 / Outcome: {'成功 / passed' if drill.ok else '失敗 / failed'}",
        f"- 事故 / Incident: {drill.incident or '–'}",
        f"- 役務 / Service: {drill.service}",
        f"- 開始 / Began: {clock_time(drill.began_at)}",
        f"- 終了 / Ended: {clock_time(drill.ended_at)}",
        f"- 対象外 / Nothing due to: {', '.join(drill.left_out) or '–'}",
        "",
        "| 手順 / Step | 内容 / What | 結果 / Outcome | 秒 / s | 証跡 / Evidence |",
        "| --- | --- | --- | ---: | --- |",
    ]
    lines += [
        f"| {_cell(step.name)} | {step.what.ja} / {step.what.en} | {'成功 / ok' if step.ok else '失敗 / failed'} "
        f"| {step.seconds:.1f} | {_cell(step.detail)} |"
        for step in drill.steps
    ]
    return "\n".join(lines) + "\n"


def junit(drill: Drill) -> str:
    """One case for each step."""
    failed = sum(not step.ok for step in drill.steps)
    seconds = sum(step.seconds for step in drill.steps)
    suite = ET.Element("testsuite", name="art58 drill", timestamp=drill.began_at.isoformat(timespec="seconds"))
    suite.attrib |= {"tests": str(len(drill.steps)), "failures": str(failed), "errors": "0", "time": f"{seconds:.3f}"}
    for step in drill.steps:
        case = ET.SubElement(suite, "testcase", classname="art58.drill", name=step.name, time=f"{step.seconds:.3f}")
        if step.ok:
            ET.SubElement(case, "system-out").text = step.detail
        else:
            ET.SubElement(case, "failure", message=step.detail)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
