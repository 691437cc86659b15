"""What keeping the states of 16 trials costs, as a share of the minute from one checkpoint to the next.

The training thread makes the bytes; the bookkeeper's thread writes them, here into SQLite, while training goes on.
Times are those of the processor, of each thread by itself, so that other programs on the machine disturb little.

    python tests/benchmarks/checkpoint_cost.py [--hidden 128] [--rounds 5]
"""

import argparse
import statistics
import tempfile
import time

from gradstudy.storage.checkpoints import save_checkpoint
from gradstudy.storage.claiming import claim_trials
from gradstudy.storage.database import Database
from gradstudy.storage.workers import register_worker
from gradstudy.study.launch import create_or_resume
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.device import set_up_process
from gradstudy.study.worker.checkpointing import SECONDS_BETWEEN

TRIALS = 16


def measure(spec: StudySpec, rounds: int) -> tuple[float, float, float]:
    """MiB of all states, and the medians of the seconds that making and writing them take."""
    slots = Slots[int](make_array(spec, "lstm", load_data(spec), TRIALS, make_workspace(spec, "cpu")), spec)
    for trial in range(TRIALS):
        slots.admit(trial, Setting(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.01), trial)
    made, written, size = [], [], 0.0
    with tempfile.TemporaryDirectory() as folder, Database.open(f"sqlite:///{folder}/cost.db", create=True) as database:
        study = create_or_resume(database, spec)
        worker = register_worker(database.engine, "here", 1, "cpu")
        claims = claim_trials(database.engine, study, worker, int, wanted=TRIALS)
        for _ in range(rounds):
            slots.advance()
            begun = time.thread_time()
            states = [slots.state(trial) for trial in range(TRIALS)]
            made.append(time.thread_time() - begun)
            known = [(claim, state) for claim, state in zip(claims, states, strict=True) if state]
            assert len(known) == TRIALS
            size = sum(len(state) for _, state in known) / 2**20
            step = slots.steps()[0][1]
            begun = time.thread_time()
            kept = [save_checkpoint(database.engine, claim, step, state) for claim, state in known]
            written.append(time.thread_time() - begun)
            assert all(kept)
    return size, statistics.median(made), statistics.median(written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    set_up_process()
    for optimizer in ("sgd", "adam"):
        spec = StudySpec.model_validate({
            "name": "cost", "task": "cmudict", "optimizer": optimizer, "model": {"hidden_size": options.hidden},
            "steps": 5000, "trials": TRIALS, "sampler": "random",
        })  # fmt: skip
        size, made, written = measure(spec, options.rounds)
        print(
            f"{optimizer}, {TRIALS} trials, hidden {options.hidden}: {size:.1f} MiB; training thread "
            f"{1e3 * made:.0f} ms ({made / SECONDS_BETWEEN:.2%} of {SECONDS_BETWEEN:.0f} s), bookkeeper's "
            f"{1e3 * written:.0f} ms ({written / SECONDS_BETWEEN:.2%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
