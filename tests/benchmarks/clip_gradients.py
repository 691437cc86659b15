"""Clipping in a training loop beside ``clip_grad_norm_`` and the packages zclip, autoclip and timm.

All on one thread, alternating in one process, over the gradients of the same model. What a package does not have, or
what is not installed, is left out. Ratios are to ``torch.nn.utils.clip_grad_norm_`` on the same model.

    python tests/benchmarks/clip_gradients.py [--device cuda] [--quick] [--output FOLDER]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from gradstudy.models.clipping import Clipper, clip_gradients

SEEN = 100
"""Steps that strategies with memory have seen before they are timed."""

SECONDS_A_ROUND = 0.05


def seq2seq(hidden: int) -> nn.Module:
    parts = [nn.Embedding(64, hidden), nn.LSTM(hidden, hidden), nn.Embedding(64, hidden), nn.LSTM(hidden, hidden)]
    return nn.ModuleList([*parts, nn.Linear(hidden, 64)])


def many_parameters() -> nn.Module:
    return nn.ModuleList([nn.Linear(32, 32) for _ in range(250)])


MODELS: dict[str, Callable[[], nn.Module]] = {
    "LSTM seq2seq 64": lambda: seq2seq(64),
    "LSTM seq2seq 256": lambda: seq2seq(256),
    "LSTM seq2seq 1024": lambda: seq2seq(1024),
    "500 parameters": many_parameters,
}


def contenders(model: nn.Module) -> dict[str, Callable[[], object]]:
    """What is timed; only ``normalize`` and ``standardize`` change a gradient, whatever it is."""
    autoclip, zclip = Clipper("autoclip", 100.0), Clipper("zclip", 1e6)
    made: dict[str, Callable[[], object]] = {
        "torch clip_grad_norm_": lambda: nn.utils.clip_grad_norm_(model.parameters(), 1e6),
        "norm": lambda: clip_gradients(model.parameters(), "norm", 1e6),
        "normalize": lambda: clip_gradients(model.parameters(), "normalize", 1.0),
        "torch clip_grad_value_": lambda: nn.utils.clip_grad_value_(model.parameters(), 1e6),
        "value": lambda: clip_gradients(model.parameters(), "value", 1e6),
        "torch clip_grad_norm_ for each": lambda: [nn.utils.clip_grad_norm_(p, 1e6) for p in model.parameters()],
        "param_norm": lambda: clip_gradients(model.parameters(), "param_norm", 1e6),
        "zclip": lambda: zclip(model.parameters()),
        "autoclip": lambda: autoclip(model.parameters()),
        "agc": lambda: clip_gradients(model.parameters(), "agc", 1e6),
        "standardize": lambda: clip_gradients(model.parameters(), "standardize"),
    }
    with suppress(ImportError):
        from zclip import ZClip

        theirs = ZClip(z_thresh=1e6, max_grad_norm=None)
        made["package zclip"] = lambda: theirs.step(model)
    with suppress(ImportError):
        from autoclip.torch import QuantileClip

        package = QuantileClip(model.parameters(), quantile=1.0, global_threshold=True)
        made["package autoclip"] = package.step
    with suppress(ImportError):
        from timm.utils.agc import adaptive_clip_grad

        made["package timm, agc"] = lambda: adaptive_clip_grad(model.parameters(), 1e6)
    return made


def seconds(run: Callable[[], object], times: int, device: torch.device) -> float:
    """A call's time with the device's work."""
    start = time.perf_counter()
    for _ in range(times):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def compare(name: str, device: torch.device, rounds: int) -> list[dict[str, float | str]]:
    torch.manual_seed(0)
    model = MODELS[name]().to(device)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    runs = contenders(model)
    for run in runs.values():
        seconds(run, SEEN, device)
    times = {label: max(1, int(SECONDS_A_ROUND / seconds(run, 3, device))) for label, run in runs.items()}
    taken: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(rounds):
        for label, run in runs.items():
            taken[label].append(seconds(run, times[label], device))
    reference = taken["torch clip_grad_norm_"]
    return [
        {
            "model": name,
            "what": label,
            "microseconds": 1e6 * statistics.median(of_rounds),
            "ratio": statistics.median(a / b for a, b in zip(of_rounds, reference, strict=True)),
        }
        for label, of_rounds in taken.items()
    ]


def markdown(rows: list[dict[str, float | str]], device: str) -> str:
    lines = [
        f"Microseconds for a call on {device}, and the ratio to torch's `clip_grad_norm_`.",
        "",
        f"| | {' | '.join(MODELS)} |",
        f"|---|{'---|' * len(MODELS)}",
    ]
    for label in dict.fromkeys(row["what"] for row in rows):
        cells = {
            row["model"]: f"{row['microseconds']:.0f} ({row['ratio']:.2f})" for row in rows if row["what"] == label
        }
        lines.append(f"| {label} | {' | '.join(cells.get(name, '') for name in MODELS)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 25")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in MODELS:
        rows += compare(name, torch.device(options.device), 5 if options.quick else 25)
        print(f"{name} done", flush=True)
    table = markdown(rows, options.device)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "clip_gradients.md").write_text(table)
    (options.output / "clip_gradients.json").write_text(json.dumps(rows, indent=1))
    print(table)


if __name__ == "__main__":
    main()
