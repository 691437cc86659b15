"""A diagnosis as one HTML file that opens without a network."""

from gradstudy.study.diagnosis import sentences
from gradstudy.study.diagnosis.diagnose import Diagnosis
from gradstudy.study.diagnosis.figures import MOST_RUNS, diagnosis_figures
from gradstudy.study.diagnosis.remedies import remedies
from gradstudy.study.diagnosis.table import runs_table
from gradstudy.study.report.html import rendered, templates


def html_diagnosis(diagnosis: Diagnosis) -> str:
    """The file."""
    figures = diagnosis_figures(diagnosis)
    runs = [
        (
            run,
            sentences.verdict(run),
            sentences.facts(run),
            remedies(run, is_shared=run.judged.first_bad in diagnosis.shared_steps),
        )
        for run in sorted(diagnosis.runs, key=lambda run: not run.is_bad)
    ]
    return rendered(
        templates().get_template("diagnosis.html"),
        figures,
        runs=runs,
        shared=sentences.shared(diagnosis),
        names=list(figures),
        drawn=min(len(runs), MOST_RUNS),
        table=runs_table(diagnosis),
        without_loss=diagnosis.without_loss,
    )
