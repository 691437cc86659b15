"""What optuna-dashboard shows of a study: its note and its custom plots."""

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_steps
from gradstudy.storage.optuna_internals import NOTE_PREFIX, NOTE_VERSION, PLOT_PREFIX, storage_of, study_id_of
from gradstudy.storage.progress import RUNNING
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.study_attributes import read_attribute, replace_attributes
from gradstudy.study.report.dashboard_note import write_note
from gradstudy.study.report.figures.collection import Sections, report_figures
from gradstudy.study.report.figures.loss_curves import drawn_trials
from gradstudy.study.report.report import read_report

if TYPE_CHECKING:
    import plotly.graph_objects as go

PLOTS = "gradstudy-"
"""How the names of our plots begin; those of other names are a person's own."""

TITLES = {"map": "Map", "loss": "Training loss", "norms": "Gradient norms"}
"""The sections of a report that are shown, in this order."""

POINTS = 75
"""Of a loss curve: the browser fetches all of them again every few seconds."""

HEIGHT = 450
"""Of a plot, in pixels: what optuna-dashboard leaves for it."""

REPLACED = [NOTE_PREFIX, f"{PLOT_PREFIX}{PLOTS}"]


def write_content(database: Database, record: StudyRecord, counts: dict[str, int]) -> None:
    """Write note and plots of a study anew, in one transaction: who reads sees the old ones or the new ones.

    Args:
        database: that holds the study.
        record: of the study.
        counts: see ``gradstudy.storage.progress.count_outcomes``.

    Raises:
        NotFoundError: the study was deleted.
        UnavailableError: the database cannot be read or written.
    """
    report = read_report(database, record.name)
    drawn = drawn_trials(report.trials)["number"].tolist()
    steps = read_steps(database, record.name, drawn, max(1, report.steps // POINTS))
    note, plots = write_note(report, counts[RUNNING]), _plots(report_figures(report, steps))
    version = read_attribute(database, record.study_id, NOTE_VERSION) or 0
    try:
        replace_attributes(database, record.study_id, REPLACED, _attributes(note, plots, version))
    except IntegrityError as error:
        raise NotFoundError(f"there is no study '{record.name}' any more") from error


def _plots(sections: Sections) -> "dict[str, go.Figure]":
    """The figures to show, with titles that tell them apart."""
    plots = {}
    for section, title in TITLES.items():
        for name, figure in sections[section].items():
            layout: Any = figure.layout
            layout.update(title_text=f"{title}: {layout.title.text}", height=HEIGHT, showlegend=True)
            plots[name] = _with_each_once_in_the_legend(figure)
    return plots


def _with_each_once_in_the_legend(figure: "go.Figure") -> "go.Figure":
    """The figure, whose legend names each kind of line and mark once."""
    seen: set[str] = set()

    def show_once(trace: Any) -> None:
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)

    figure.for_each_trace(show_once)
    return figure


def _attributes(note: str, plots: "dict[str, go.Figure]", version: int) -> dict[str, Any]:
    """Note and figures as optuna-dashboard keeps them, from its own functions on a study in memory."""
    import optuna
    from optuna_dashboard import save_note, save_plotly_graph_object

    logging.getLogger("optuna.storages").setLevel(logging.WARNING)  # "A new study created" is not true here
    study = optuna.create_study()
    storage, study_id = storage_of(study), study_id_of(study)
    storage.set_study_system_attr(study_id, NOTE_VERSION, version)
    save_note(study, note)
    for name, figure in plots.items():
        save_plotly_graph_object(study, figure, graph_object_id=f"{PLOTS}{name}")
    return storage.get_study_system_attrs(study_id)
