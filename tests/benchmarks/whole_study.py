"""A whole study end to end: gradstudy beside the programs that people write today.

All run the same settings for the same number of steps over the same data, with as many processes as cores, one thread
each, into an SQLite database, and keep loss and gradient norm of every step. They alternate in one run, each in
processes of its own; the time is that of the whole command, start-up included.

    python tests/benchmarks/whole_study.py [--quick] [--rounds 3] [--output FOLDER]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gradstudy.study.spec.study_spec import StudySpec

PEERS = {
    "report": "trial.report at every step",
    "attribute": "telemetry kept in memory, one user attribute at the end",
}


def spec_for(hidden: int, trials: int, steps: int) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": f"hidden{hidden}",
            "task": "cmudict",
            "trials": trials,
            "steps": steps,
            "model": {"hidden_size": hidden},
            "space": {"strategies": ["none", "norm", "value"], "learning_rate": [0.01, 1.0]},
        }
    )


def gradstudy(spec: StudySpec, folder: Path, workers: int) -> list[str]:
    """The command of a launch; the spec lies beside the database."""
    file = folder / "spec.toml"
    space = spec.space
    file.write_text(
        f'name = "{spec.name}"\ntask = "{spec.task}"\ntrials = {spec.trials}\nsteps = {spec.steps}\n'
        f"[model]\nhidden_size = {spec.model.hidden_size}\n"
        f"[space]\nstrategies = {list(space.strategies)}\nlearning_rate = {list(space.learning_rate)}\n"
    )
    command = [sys.executable, "-m", "gradstudy.scripts.main", "launch", str(file), "--workers", str(workers)]
    return [*command, "--storage", f"sqlite:///{folder}/study.db"]


def peer(spec: StudySpec, folder: Path, workers: int, telemetry: str) -> list[str]:
    file = folder / "spec.json"
    file.write_text(spec.model_dump_json())
    program = Path(__file__).with_name("one_at_a_time.py")
    return [sys.executable, str(program), str(file), f"sqlite:///{folder}/study.db", str(workers), telemetry]


def seconds(kind: str, spec: StudySpec, workers: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = gradstudy(spec, folder, workers) if kind == "gradstudy" else peer(spec, folder, workers, kind)
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of hidden 32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    workers = os.cpu_count() or 1
    rows = []
    for hidden in (32,) if options.quick else (32, 64):
        spec = spec_for(hidden, options.trials, options.steps)
        rounds = [
            {kind: seconds(kind, spec, workers) for kind in ("gradstudy", *PEERS)}
            for _ in range(1 if options.quick else options.rounds)
        ]
        row: dict[str, float] = {"hidden": hidden}
        for kind in ("gradstudy", *PEERS):
            row[f"{kind}_s"] = statistics.median(measured[kind] for measured in rounds)
        for kind in PEERS:
            row[f"ratio_{kind}"] = statistics.median(measured[kind] / measured["gradstudy"] for measured in rounds)
        rows.append(row)
        print(row, flush=True)
    lines = [
        f"{options.trials} trials of {options.steps} steps on cmudict, LSTM and GRU, {workers} processes; seconds.",
        "",
        "| hidden | gradstudy | " + " | ".join(f"{text} (ratio)" for text in PEERS.values()) + " |",
        "|---|---|" + "---|" * len(PEERS),
    ]
    for row in rows:
        peers = " | ".join(f"{row[f'{kind}_s']:.1f} ({row[f'ratio_{kind}']:.2f})" for kind in PEERS)
        lines.append(f"| {row['hidden']} | {row['gradstudy_s']:.1f} | {peers} |")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "whole_study.md").write_text("\n".join(lines) + "\n")
    (options.output / "whole_study.json").write_text(json.dumps(rows, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
