from collections.abc import Callable

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

Run = Callable[..., Result]


@pytest.mark.parametrize("outcome", ["trained", "diverged"])
def test_a_replay_that_agrees_exits_with_0(finished: Database, gradstudy: Run, outcome: str) -> None:
    trials = read_trials(finished, "s")
    row = trials[trials["outcome"] == outcome].iloc[0]
    result = gradstudy("replay", "s", str(row["number"]))
    assert (result.exit_code, result.stderr) == (0, "")
    heading, recorded, replayed, verdict = result.stdout.splitlines()
    assert f"seed {row['seed']}" in heading
    after = f"{outcome} after {row['steps']} steps, smoothed loss {row['final_loss']:.6f}"
    assert recorded == f"recorded: {after}"
    assert replayed.startswith(f"replayed: {outcome} after {row['steps']} steps, ")
    assert verdict.startswith("they agree: losses differ by ")


def test_a_replay_that_does_not_agree_exits_with_1(finished: Database, gradstudy: Run) -> None:
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_step SET loss = loss + 1 WHERE step = 1")
    result = gradstudy("replay", "s", "0")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "they do not agree; losses differ by more than 0.001 from step 1"


def test_a_replay_names_the_factors_of_its_trial(gradstudy: Run, flags: list[str]) -> None:
    assert gradstudy("launch", "s", *flags, "--vary", "max_length=3,4").exit_code == 0
    result = gradstudy("replay", "s", "0")
    assert result.exit_code == 0
    heading = result.stdout.splitlines()[0]
    assert ", max_length 3, seed " in heading or ", max_length 4, seed " in heading
