from collections.abc import Callable

import pytest
from typer.testing import Result

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import TASKS

Run = Callable[..., Result]


def test_every_strategy_is_listed_with_its_rule_and_source(gradstudy: Run) -> None:
    lines = gradstudy("strategies").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(STRATEGIES)
    for line, strategy in zip(lines, STRATEGIES.values(), strict=True):
        assert strategy.rule in line
        assert strategy.source in line
        assert strategy.unit is None or strategy.unit in line


def test_every_task_is_listed_with_its_options(gradstudy: Run) -> None:
    lines = gradstudy("tasks").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [task.usage for task in TASKS.values()]
    for line, task in zip(lines, TASKS.values(), strict=True):
        assert f"{task.description} ({', '.join(task.losses)})" in line
        assert all(f"{option.name}={option.shown_default}" in line for option in task.options)


@pytest.mark.parametrize("name", TASKS)
def test_the_options_of_a_task_are_explained(gradstudy: Run, name: str) -> None:
    lines = gradstudy("tasks", name).stdout.splitlines()[1:]
    for line, option in zip(lines, TASKS[name].options, strict=True):
        assert line.split()[:2] == [option.name, option.shown_default]
        assert option.accepted in line
        assert option.description in line


def test_the_options_of_no_task_are_refused(gradstudy: Run) -> None:
    result = gradstudy("tasks", "songs")
    assert result.exit_code == 2
    assert result.stderr == f"gradstudy: there is no task 'songs': choose from {', '.join(TASKS)}\n"
