"""All runs of a diagnosis in one table."""

import math

from gradstudy.study.diagnosis.diagnose import Diagnosis
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.report.tables import Cell, TextTable, number
from gradstudy.study.wording import step_in_words


def runs_table(diagnosis: Diagnosis) -> TextTable:
    """A row for each run."""
    headings = [
        "run",
        "outcome",
        "first bad step",
        "first loss",
        "last loss",
        "lowest",
        "spikes",
        "norm p90",
        "threshold",
    ]
    return TextTable(
        name="runs",
        title="Runs",
        note="Losses are smoothed; norms are those of the healthy steps, and the threshold is for clipping by norm.",
        headings=headings,
        numeric=[place > 1 for place in range(len(headings))],
        rows=[_row(run) for run in diagnosis.runs],
    )


def _row(run: RunDiagnosis) -> list[Cell]:
    bad, norms = run.judged.first_bad, run.healthy_norms
    cells: list[Cell] = [(run.name, run.name), (run.judged.outcome, run.judged.outcome)]
    cells.append(("–", math.nan) if bad is None or not run.is_bad else (step_in_words(bad), bad))
    cells += [(number(value), value) for value in (run.base.untrained, run.judged.final, run.judged.lowest)]
    cells.append((str(len(run.spikes)), float(len(run.spikes))))
    p90 = math.nan if norms is None else norms.p90
    threshold = math.nan if norms is None or norms.threshold is None else norms.threshold
    return [*cells, (number(p90), p90), (number(threshold), threshold)]
