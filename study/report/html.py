"""A report as one HTML file that opens without a network: text, figures and tables."""

import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pandas as pd
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from gradstudy.models.tasks.catalogue import TASKS
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps
from gradstudy.study.report import sentences
from gradstudy.study.report.caveats import is_adaptive
from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.figures.collection import report_figures
from gradstudy.study.report.figures.frontier_comparison import frontier_comparison
from gradstudy.study.report.figures.loss_curves import drawn_trials, every_nth
from gradstudy.study.report.report import Report
from gradstudy.study.report.tables import text_tables
from gradstudy.study.spec.plain import is_plain, is_recorded
from gradstudy.study.spec.study_spec import stored_values
from gradstudy.study.spec.toml import spec_toml

OPEN_TABLES = (
    "confirmation",
    "at_horizon",
    "horizons",
    "scaling",
    "settings",
    "strategies",
    "metrics",
    "factors",
    "suggested_threshold",
)
"""Tables that are shown without asking; the others open with a click."""


def drawn(report: Report) -> tuple[list[int], int]:
    """The steps that the figures draw: of these trials, one of so many."""
    return drawn_trials(report.trials)["number"].tolist(), every_nth(report.steps, report.kept_steps)


def read_drawn_steps(database: Database, report: Report) -> pd.DataFrame:
    """The steps of a study that gradstudy launched, see ``drawn``."""
    return read_steps(database, report.study.name, *drawn(report))


def html_report(report: Report, steps: pd.DataFrame, template: Template | None = None) -> str:
    """The file of one study.

    Args:
        report: of the study.
        steps: as ``drawn`` says, rows of ``step_result``.
        template: that extends ``report.html``, of an environment as ``templates`` makes it; None for a file that opens
            without a network.
    """
    study = report.study
    figures = report_figures(report, steps)
    return rendered(
        template or templates().get_template("report.html"),
        {name: figure for section in figures.values() for name, figure in section.items()},
        report=report,
        title=sentences.title(report),
        progress=sentences.progress(report),
        setting=sentences.setting(report),
        evidence=sentences.evidence(report),
        code=sentences.code(report),
        standing=sentences.standing(report),
        of_short_runs=sentences.of_short_runs(report),
        evidence_of_short_runs=sentences.evidence_of_short_runs(report),
        sections={section: list(names) for section, names in figures.items()},
        adaptive=is_adaptive(study),
        drawn=len(steps["number"].unique()),
        every=every_nth(report.steps, report.kept_steps),
        plain=is_plain(study.spec),
        tables=text_tables(report),
        open_tables=OPEN_TABLES,
        spec=spec_toml(study.spec if is_plain(study.spec) else stored_values(study)),
        next_spec=spec_toml(report.follow_up.spec) if report.follow_up and report.follow_up.spec else "",
        data_source=_data_source(study.spec),
    )


def html_comparison(comparison: Comparison) -> str:
    """The file that compares two studies."""
    frontiers = comparison.frontiers
    figures = {f"frontier-{cell}": frontier_comparison(frontiers, cell) for cell in sorted(frontiers["cell"].unique())}
    return rendered(
        templates().get_template("comparison.html"),
        figures,
        comparison=comparison,
        answers=[
            (report, sentences.setting(report), sentences.evidence(report), sentences.code(report))
            for report in comparison.reports
        ],
        progress=sentences.progress,
        title=sentences.title,
        sections={"frontier": list(figures)},
        tables=text_tables(comparison),
        open_tables=("comparison",),
    )


def templates(*further: BaseLoader) -> Environment:
    """The templates of reports, and further ones that may extend them."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=ChoiceLoader([*further, PackageLoader("gradstudy.study.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals["plotly"] = get_plotlyjs
    environment.filters["with_code"] = with_code
    return environment


def with_code(sentence: str) -> Markup:
    """A sentence in which what stands between backticks is a command."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def rendered(template: Template, figures: dict[str, Any], **context: Any) -> str:
    """A page made of a template, with figures by name."""
    return template.render(
        # Within a script element, "</" would end it.
        figures={name: figure.to_json().replace("<", "\\u003c") for name, figure in figures.items()},
        version=version("gradstudy"),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **context,
    )


def _data_source(spec: dict[str, Any]) -> str:
    if is_recorded(spec):
        return "what the programs recorded that trained the runs"
    if is_plain(spec):
        return "what an Optuna study keeps of its trials"
    task = TASKS.get(spec["task"].partition(":")[0])
    options = ", ".join(f"{name} {value}" for name, value in spec.get("task_options", {}).items())
    described = f"{spec['task']}: {task.description}" if task else spec["task"]
    return f"{described} ({options})" if options else described
