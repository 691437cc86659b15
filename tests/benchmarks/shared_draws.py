"""Whether runs diverge as often with the draws of a step shared as with draws of their own: teacher forcing, hidden 32.

python tests/benchmarks/shared_draws.py [STUDIES TRIALS_OF_EACH STEPS [LEARNING_RATE]]; without a learning rate, it is
looked for where half of the runs diverge.
"""

import math
import statistics
import sys

import torch
from own_model import BATCH, CPU, tutorial

from gradstudy.models.array import TrainingRun
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.loading import UserModule
from gradstudy.study.divergence import DivergenceMonitor

HIDDEN, OF_EDGE = 32, 5
USER = UserModule("module:own:problem", lambda seed: tutorial(seed, HIDDEN), {}, None, "")


def outcomes(study: int, trials: int, steps: int, learning_rate: float, *, shared: bool) -> list[bool]:
    """Whether each trial of one study blows up; the seeds of its models and batches are the same both ways."""
    array = ModuleArray(
        USER,
        "module",
        slots=trials,
        batch_size=BATCH,
        optimizer=OptimizerSettings("sgd"),
        schedule=Schedule("constant", steps),
        guard=False,
        device=CPU,
        batched=shared,
        shared_draws=study if shared else None,
    )
    monitors = []
    for number in range(trials):
        seed = 1_000_000 + 1000 * study + number
        slot = array.admit(TrainingRun(seed=seed, strategy="none", threshold=None, learning_rate=learning_rate))
        monitors.append(DivergenceMonitor(array.initial_losses(slot)))
    telemetry = array.train(steps)
    assert not array.failures, array.failures
    return [
        monitor.observe_all(telemetry.loss[:, slot], telemetry.grad_norm[:, slot]) is not None
        for slot, monitor in enumerate(monitors)
    ]


def edge(trials: int, steps: int) -> float:
    """The learning rate where about half of the runs diverge, by bisection."""
    low, high = 10.0, 100.0
    for _ in range(7):
        middle = math.sqrt(low * high)
        seen = [one for study in range(OF_EDGE) for one in outcomes(study, trials, steps, middle, shared=True)]
        low, high = (low, middle) if statistics.mean(seen) > 0.5 else (middle, high)
        print(f"learning rate {middle:.3g}: {statistics.mean(seen):.2f} diverge", flush=True)
    return math.sqrt(low * high)


def described(name: str, rates: list[float], trials: int) -> tuple[float, float]:
    """The rate with its standard error over studies, and how alike the trials of one study are."""
    rate, studies = statistics.mean(rates), len(rates)
    variance = statistics.variance(rates)
    chance = rate * (1 - rate) / trials
    alike = (variance - chance) / (rate * (1 - rate) - chance) if trials > 1 else math.nan
    error = math.sqrt(variance / studies)
    print(f"{name}: {rate:.3f} of {studies * trials} runs diverge, standard error over studies {error:.3f}; variance "
          f"over studies {variance:.4f}, by chance {chance:.4f}, correlation of two trials {alike:.3f}")  # fmt: skip
    return rate, error


def main() -> None:
    torch.set_num_threads(1)
    given = [float(value) for value in sys.argv[1:]] or [30, 8, 40]
    studies, trials, steps = map(int, given[:3])
    learning_rate = given[3] if len(given) > 3 else edge(trials, steps)
    rates: dict[bool, list[float]] = {True: [], False: []}
    for study in range(100, 100 + studies):
        for shared, of_way in rates.items():
            of_way.append(statistics.mean(outcomes(study, trials, steps, learning_rate, shared=shared)))
    print(f"learning rate {learning_rate:.3g}, {steps} steps")
    for shared, of_way in rates.items():
        described("shared draws" if shared else "own draws", of_way, trials)
    differences = [one - other for one, other in zip(rates[True], rates[False], strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(studies)
    print(f"difference of the rates {mean:+.3f}, 95% interval {mean - 1.96 * error:+.3f} to {mean + 1.96 * error:+.3f}")


if __name__ == "__main__":
    main()
