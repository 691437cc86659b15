"""The note of a study in optuna-dashboard: question, progress, answer and rates, in Markdown."""

from gradstudy.study.report import sentences
from gradstudy.study.report.report import Report
from gradstudy.study.report.tables import number

HEADINGS = ("cell", "strategy", "diverged / runs", "rate", "95% interval", "largest lr kept", "smallest lr diverged")


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
    low, high = space["learning_rate"]
    return (
        "## What is asked\n\n"
        "Which learning rate, clip threshold and clipping strategy keep the model from diverging?\n\n"
        f"- {sentences.title(report)}\n"
        f"- {' and '.join(cell.upper() for cell in space['cells'])}; learning rate {low:g} to {high:g}\n"
        f"- strategies {', '.join(space['strategies'])}"
    )


def _progress(report: Report, running: int) -> str:
    runs = f"; {running} running" if running else ""
    return f"## Progress\n\n{sentences.progress(report)}{runs}."


def _answer(report: Report) -> str:
    best = report.recommendation
    parts = ["## Recommendation", f"**{sentences.setting(report)}**"]
    if best is not None:
        parts.append(f"```python\n{best.pytorch.rstrip()}\n```")
    said = [*sentences.evidence(report), *report.caveats]
    parts.append("\n".join(f"- {sentence}" for sentence in said))
    return "\n\n".join(part for part in parts if part)


def _rates(report: Report) -> str:
    lines = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    lines += [
        _row([
            row["cell"],
            row["strategy"],
            f"{row['diverged']} / {row['runs']}",
            f"{row['rate']:.0%}",
            f"{row['rate_low']:.0%} to {row['rate_high']:.0%}",
            number(row["largest_kept_learning_rate"]),
            number(row["smallest_diverged_learning_rate"]),
        ])
        for row in report.strategies.to_dict("records")
    ]  # fmt: skip
    return "## Divergence of each strategy\n\n" + "\n".join(lines)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
