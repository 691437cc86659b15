"""What a training step of the trial array costs with each clipping strategy or optimizer, beside sgd with norm.

All run on one thread in one process, in turns, over the same batches. Times are those of the processor, so that other
programs on the machine disturb little.

    python tests/benchmarks/strategy_steps.py [--hidden 32 128] [--strategies rms spectral] [--rounds 9]
    python tests/benchmarks/strategy_steps.py --optimizers adam radam     (with norm, in place of the strategies)
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OPTIMIZERS, OptimizerName, OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace
from gradstudy.study.training.device import set_up_process

TRIALS = 16
STEPS = 3
"""Of each array in a turn."""
WARM_UP = 30
"""Steps before the first turn, with which every strategy's own warm-up is over."""


def array_of(strategy: str, hidden: int, optimizer: OptimizerName = "sgd") -> Callable[[], float]:
    """Makes an array and returns what trains it for a turn and tells the seconds of a step."""
    data = load_task("copy", max_length=20, min_length=20, symbols=61, examples=2000)
    shape = ModelShape(
        cell="lstm",
        source_vocabulary=len(data.source_vocabulary),
        target_vocabulary=len(data.target_vocabulary),
        embedding_size=hidden,
        hidden_size=hidden,
    )
    array = TrialArray(
        shape,
        data,
        slots=TRIALS,
        batch_size=32,
        optimizer=OptimizerSettings(optimizer),
        schedule=Schedule("constant", 1000),
        validation_pairs=1,
        workspace=Workspace(torch.float32, torch.device("cpu")),
    )
    entry = STRATEGIES[strategy]
    threshold = None if entry.low is None or entry.high is None else (entry.low * entry.high) ** 0.5
    # At 0.1 those that divide by gradients saturate every gate, and numbers too small for float32 are slow ones.
    rate = 0.1 if optimizer == "sgd" else 1e-3
    for seed in range(TRIALS):
        array.admit(TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=rate))
    array.train(WARM_UP)

    def turn() -> float:
        start = time.process_time()
        array.train(STEPS)
        return (time.process_time() - start) / STEPS

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--optimizers", nargs="*", choices=OPTIMIZERS)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    set_up_process()
    for hidden in options.hidden:
        norm = array_of("norm", hidden)
        compared: dict[str, Callable[[], Callable[[], float]]] = {
            strategy: partial(array_of, strategy, hidden) for strategy in options.strategies
        }
        if options.optimizers is not None:
            named = options.optimizers or OPTIMIZERS
            compared = {optimizer: partial(array_of, "norm", hidden, optimizer) for optimizer in named}
        for name, make in compared.items():
            other = make()
            turns = [(norm(), other()) for _ in range(options.rounds)]
            ratio = statistics.median(b / a for a, b in turns)
            milliseconds = [1e3 * statistics.median(times) for times in zip(*turns, strict=True)]
            shown = f"norm {milliseconds[0]:.1f} ms, {milliseconds[1]:.1f} ms"
            print(f"hidden {hidden}  {name:12} {ratio:.2f}  ({shown})", flush=True)


if __name__ == "__main__":
    main()
