"""A training step of the trial array beside the same model of torch's layers, one at a time.

Both run on one thread, alternating in one process, over the same batches: forward, backward, norm clipping, SGD.

    python tests/benchmarks/training_step.py [--quick] [--output FOLDER]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.cell_names import GATES, Cell
from gradstudy.models.model_shape import BEGIN, ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.workspace import Workspace

SYMBOLS = 61  # with padding, begin and end a vocabulary of 64
MAX_NORM = 1.0
LEARNING_RATE = 0.1


class Seq2Seq(nn.Module):
    """What people write: embeddings, nn.LSTM or nn.GRU, a linear layer."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        layer = nn.LSTM if shape.cell == "lstm" else nn.GRU
        size = shape.hidden_size
        self.encoder_embedding = nn.Embedding(shape.source_vocabulary, size)
        self.encoder = layer(size, size, batch_first=True)
        self.decoder_embedding = nn.Embedding(shape.target_vocabulary, size)
        self.decoder = layer(size, size, batch_first=True)
        self.output = nn.Linear(size, shape.target_vocabulary)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        _, state = self.encoder(self.encoder_embedding(source))
        begin = torch.full_like(target[:, :1], BEGIN)
        hidden, _ = self.decoder(self.decoder_embedding(torch.cat([begin, target[:, :-1]], 1)), state)
        return nn.functional.cross_entropy(self.output(hidden).flatten(0, 1), target.flatten())


def one_at_a_time(shape: ModelShape, data: TokenPairs, batch_size: int) -> Callable[[], None]:
    model = Seq2Seq(shape)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE)
    batches = TrialBatches(data, 1, batch_size)
    batches.admit(0, 0)
    step = 0

    def run() -> None:
        nonlocal step
        batch = batches.batch(np.array([step]))
        optimizer.zero_grad()
        model(batch.source[0], batch.target[0]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        step += 1

    return run


def array_of(trials: int, shape: ModelShape, data: TokenPairs, batch_size: int) -> Callable[[], object]:
    workspace = Workspace(torch.float32, torch.device("cpu"))
    array = TrialArray(
        shape,
        data,
        slots=trials,
        batch_size=batch_size,
        optimizer=OptimizerSettings(),
        schedule=Schedule("constant", 1000),
        validation_pairs=1,
        workspace=workspace,
    )
    for seed in range(trials):
        array.admit(TrainingRun(seed=seed, strategy="norm", threshold=MAX_NORM, learning_rate=LEARNING_RATE))
    return lambda: array.train(1)


def seconds(run: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def peak_flops(size: int = 1024) -> float:
    """The rate of a large matrix product, in floating-point operations a second."""
    a = torch.randn(size, size)
    return 2 * size**3 / min(seconds(lambda: torch.mm(a, a), 2) for _ in range(5))


def product_flops(shape: ModelShape, batch_size: int, length: int) -> int:
    """Floating-point operations of the matrix products that a model's training step cannot do without."""
    hidden = shape.hidden_size
    recurrent = 2 * batch_size * (2 * length + 1) * hidden * GATES[shape.cell] * hidden
    output = 2 * batch_size * (length + 1) * hidden * shape.target_vocabulary
    return 3 * (recurrent + output)


def compare(cell: Cell, hidden: int, length: int, trials: int, batch_size: int, rounds: int) -> dict[str, float | str]:
    data = load_task("copy", max_length=length, min_length=length, symbols=SYMBOLS, examples=2000)
    shape = ModelShape(
        cell=cell,
        source_vocabulary=len(data.source_vocabulary),
        target_vocabulary=len(data.target_vocabulary),
        embedding_size=hidden,
        hidden_size=hidden,
    )
    single, array = one_at_a_time(shape, data, batch_size), array_of(trials, shape, data, batch_size)
    seconds(single, 3), seconds(array, 2)
    pairs = [
        (seconds(single, max(4, trials // 2)), seconds(array, max(1, 8 // trials)) / trials) for _ in range(rounds)
    ]
    ours = statistics.median(a for _, a in pairs)
    return {
        "cell": cell,
        "hidden": hidden,
        "length": length,
        "trials": trials,
        "batch": batch_size,
        "nn_ms": 1e3 * statistics.median(s for s, _ in pairs),
        "array_ms": 1e3 * ours,
        "ratio": statistics.median(s / a for s, a in pairs),
        "gflops": product_flops(shape, batch_size, length) / ours / 1e9,
    }


def markdown(rows: list[dict[str, float | str]], peak: float) -> str:
    lines = [
        f"One thread; milliseconds for a model and training step; share of the peak of {peak / 1e9:.0f} GFLOP/s.",
        "",
        "| cell | hidden | length | K | nn, one | array | ratio | share of peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = float(row["gflops"]) * 1e9 / peak
        lines.append(
            f"| {row['cell']} | {row['hidden']} | {row['length']} | {row['trials']} | {row['nn_ms']:.2f} "
            f"| {row['array_ms']:.2f} | {row['ratio']:.2f} | {share:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="hidden 32, 64, 128 and length 20 only")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    hidden_sizes = (32, 64, 128) if options.quick else (32, 64, 128, 256)
    lengths = (20,) if options.quick else (20, 50)
    peak = peak_flops()
    rows = []
    for length in lengths:
        for hidden in hidden_sizes:
            for cell in ("lstm", "gru"):
                for trials in (1, 4, 8, 16, 32):
                    rounds = 7 if hidden < 256 else 3
                    rows.append(compare(cell, hidden, length, trials, 32, rounds))
                    print(markdown(rows[-1:], peak).splitlines()[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "training_step.md").write_text(markdown(rows, peak))
    (options.output / "training_step.json").write_text(json.dumps({"peak_flops": peak, "rows": rows}, indent=1))
    print(f"written to {options.output}/training_step.md and .json")


if __name__ == "__main__":
    main()
