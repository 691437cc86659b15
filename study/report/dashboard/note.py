"""The note of a study in optuna-dashboard: question, progress, answer and rates, in Markdown."""

from gradstudy.study.report import sentences
from gradstudy.study.report.markdown import bullets, plain, table
from gradstudy.study.report.report import Report
from gradstudy.study.report.tables import number
from gradstudy.study.spec.axis import described, read_axis
from gradstudy.study.statistics.grouping import GROUP

HEADINGS = ("diverged / runs", "rate", "95% interval", "largest lr kept", "smallest lr diverged")


def write_note(report: Report, running: int) -> str:
    """The summary of a study so far.

    Args:
        report: of the study.
        running: trials that a worker holds.
    """
    parts = [_question(report), _progress(report, running), _answer(report)]
    if not report.strategies.empty:
        parts.append(_rates(report))
    return "\n\n".join(parts) + "\n"


def _question(report: Report) -> str:
    spec = report.study.spec
    space = spec["space"]
    return (
        "## What is asked\n\n"
        "Which learning rate, clip threshold and clipping strategy keep the model from diverging?\n\n"
        f"- {plain(sentences.title(report))}\n"
        f"- {' and '.join(cell.upper() for cell in space['cells'])}; learning rate "
        f"{described(read_axis(space['learning_rate']))}\n"
        f"- strategies {', '.join(space['strategies'])}"
    )


def _progress(report: Report, running: int) -> str:
    runs = f"; {running} running" if running else ""
    return f"## Progress\n\n{sentences.progress(report)}{runs}."


def _answer(report: Report) -> str:
    pytorch = sentences.code(report)
    parts = ["## Recommendation", f"**{plain(sentences.setting(report))}**"]
    if pytorch is not None:
        parts.append(f"```python\n{pytorch.rstrip()}\n```")
    parts.append(bullets([*sentences.evidence(report), *report.caveats]))
    return "\n\n".join(part for part in parts if part)


def _rates(report: Report) -> str:
    rows = report.strategies.to_dict("records")
    varied = ["factors"] if "factors" in report.strategies else []
    cells = [
        [
            row["cell"],
            row["strategy"],
            *(row[column] for column in varied),
            f"{row['diverged']} / {row['runs']}",
            f"{row['rate']:.0%}",
            f"{row['rate_low']:.0%} to {row['rate_high']:.0%}",
            number(row["largest_kept_learning_rate"]),
            number(row["smallest_diverged_learning_rate"]),
        ]
        for row in rows
    ]
    headings = [*GROUP, *varied, *HEADINGS]
    numeric = [heading in HEADINGS for heading in headings]
    return "## Divergence of each strategy\n\n" + table(headings, numeric, cells)
