"""A whole command for a user's own model beside the plain Optuna program that people write for it today.

Both train the tutorials' encoder-decoder of ``own_model.py`` with as many processes as cores, one thread each, into an
SQLite database, in turn; the plain program reports nothing. The time is that of the whole command, start-up included.

    python tests/benchmarks/own_command.py [--trials N] [--steps N] [--hidden N] [--rounds N]
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import torch
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from torch import nn

THRESHOLDS, LEARNING_RATES = (0.1, 10.0), (1e-3, 1.0)
VALIDATION_BATCHES = 4
ON_VALIDATION = 1_000_000
"""Seeds of batches that no trial trains on begin here."""

FOLDER = Path(__file__).parent


def problem(seed: int, hidden: int = 64) -> tuple[object, ...]:
    """What ``module:own_command:problem`` returns: module, batches, loss, validation batches."""
    from own_model import tutorial

    made = tutorial(seed, hidden)
    held_out = tutorial(ON_VALIDATION, 1).batches[:VALIDATION_BATCHES]
    return made.module, made.batches, made.loss, held_out


def objective(trial: optuna.Trial, hidden: int, steps: int) -> float:
    learning_rate = trial.suggest_float("learning_rate", *LEARNING_RATES, log=True)
    threshold = trial.suggest_float("threshold", *THRESHOLDS, log=True)
    torch.manual_seed(trial.number)
    module, batches, loss_of, held_out = problem(trial.number, hidden)
    optimizer = torch.optim.SGD(module.parameters(), learning_rate)
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(module, batches[step % len(batches)])
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), threshold)
        optimizer.step()
    module.eval()
    with torch.no_grad():
        return sum(float(loss_of(module, batch)) for batch in held_out) / len(held_out)


def work(url: str, trials: int, steps: int, hidden: int) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    study = optuna.load_study(study_name="plain", storage=storage, sampler=optuna.samplers.RandomSampler())
    counted = (TrialState.COMPLETE, TrialState.RUNNING)
    study.optimize(lambda trial: objective(trial, hidden, steps), callbacks=[MaxTrialsCallback(trials, states=counted)])


def plain(url: str, trials: int, steps: int, hidden: int, workers: int) -> None:
    """The program that people write."""
    optuna.create_study(study_name="plain", storage=url)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(url, trials, steps, hidden)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit(1)


def command(kind: str, folder: Path, trials: int, steps: int, hidden: int, workers: int) -> list[str]:
    url = f"sqlite:///{folder}/study.db"
    if kind == "plain":
        sizes = map(str, (trials, steps, hidden, workers))
        return [sys.executable, str(FOLDER / "own_command.py"), "--plain", url, *sizes]
    spec = folder / "spec.toml"
    spec.write_text(
        f'name = "own"\ntask = "module:own_command:problem"\ntrials = {trials}\nsteps = {steps}\nbatch_size = 32\n'
        f"task_options = {{ hidden = {hidden} }}\n"
        f'[space]\nstrategies = ["norm"]\nlearning_rate = {list(LEARNING_RATES)}\n'
        f"[space.thresholds]\nnorm = {list(THRESHOLDS)}\n"
    )
    launch = [sys.executable, "-m", "gradstudy.scripts.main", "launch", str(spec), "--storage", url]
    return [*launch, "--workers", str(workers)]


def seconds(kind: str, trials: int, steps: int, hidden: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        run = command(kind, Path(name), trials, steps, hidden, workers)
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=FOLDER)
        return time.perf_counter() - begun


def main() -> None:
    if sys.argv[1] == "--plain":
        url, *sizes = sys.argv[2:]
        plain(url, *map(int, sizes))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("gradstudy", "plain"))
    given = parser.parse_args()
    kinds = (given.only,) if given.only else ("gradstudy", "plain")
    workers = os.cpu_count() or 1
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(given.rounds):
        for kind in kinds:
            times[kind].append(seconds(kind, given.trials, given.steps, given.hidden, workers))
            print(kind, f"{times[kind][-1]:.1f} s", flush=True)
    medians = {kind: statistics.median(of_kind) for kind, of_kind in times.items()}
    if len(medians) == 2:
        print(f"{medians}, {medians['plain'] / medians['gradstudy']:.2f} times")


if __name__ == "__main__":
    main()
