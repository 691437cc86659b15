"""A study that the workers of a server run, followed from here."""

import time

import typer

from gradstudy.scripts.client import Client
from gradstudy.scripts.errors import NoAnswerError
from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.running.progress import Lengths, StudyProgress
from gradstudy.scripts.web.api.messages import Stretch, Study
from gradstudy.storage.results import REMAINING, RUNNING

SECONDS_BETWEEN_LOOKS = 1.0
NO_ANSWER, NO_WORKER = "no answer", "no worker"


def follow(client: Client, study: Study) -> None:
    """Show the progress of a study until all its runs have ended, then its answer; Ctrl-C leaves it running.

    Raises:
        RefusedError: it was deleted meanwhile.
    """
    command = f"gradstudy --server {client.url}"
    try:
        if study.is_open:
            _follow(client, study)
        _show_answer(client, study.name)
    except KeyboardInterrupt:
        typer.echo(
            f"study {study.name} goes on without this command; how far it is: {command} status {study.name}; "
            f"to end it: {command} stop {study.name}"
        )
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"now: {command} report {study.name}")


def _follow(client: Client, study: Study) -> None:
    stretch, _ = _now(study)
    assert stretch.trials is not None
    with StudyProgress(stretch.runs, stretch.trials, phase=lambda begun: study.phase) as progress:
        said: set[str] = set()
        while study.is_open:
            _say_what_is_wrong(study, progress, said)
            _show(study, progress)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                study = client.study(study.name)
                said.discard(NO_ANSWER)
            except NoAnswerError as error:
                _say_once(NO_ANSWER, f"{error}; trying again", progress, said)
        _show(study, progress)


def _say_what_is_wrong(study: Study, progress: StudyProgress, said: set[str]) -> None:
    if study.workers:
        said.discard(NO_WORKER)
    else:
        _say_once(NO_WORKER, "no worker of the server is alive: the study waits for one", progress, said)
    for each in study.set_aside:
        text = f"the study is set aside on {each.host}: {each.reason}"
        _say_once(text, text, progress, said)


def _say_once(what: str, text: str, progress: StudyProgress, said: set[str]) -> None:
    if what not in said:
        said.add(what)
        progress.waiting(text)


def _show(study: Study, progress: StudyProgress) -> None:
    stretch, place = _now(study)
    assert stretch.trials is not None
    steps = [each.steps * each.runs for each in study.way]
    lengths = Lengths(stretch.steps, sum(steps[:place]), sum(steps[place + 1 :])) if len(steps) > 1 else None
    progress.show(stretch.trials, lengths)


def _now(study: Study) -> tuple[Stretch, int]:
    """The first stretch whose runs have not all ended, else the last that has begun; and its place."""
    found = study.way[0], 0
    for place, stretch in enumerate(study.way):
        if stretch.trials is None:
            break
        found = stretch, place
        if stretch.trials[REMAINING] + stretch.trials[RUNNING]:
            break
    return found


def _show_answer(client: Client, name: str) -> None:
    answer = client.report(name)["answer"]
    typer.echo(f"{answer['kind']}: {answer['setting']}")
    for line in answer["evidence"]:
        typer.echo(line)
    if answer["code"] is not None:
        typer.echo(f"\n{answer['code']}\n")
