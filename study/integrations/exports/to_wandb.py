"""A study as offline runs of Weights & Biases, which ``wandb sync`` uploads."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gradstudy.study.integrations.exports.exported_run import ExportedRun

LONGEST_TAG = 64
"""Characters that W&B takes."""


def to_wandb(runs: Iterable[ExportedRun], study: str, answer: str, folder: Path) -> Iterator[ExportedRun]:
    """Write runs to ``wandb`` of a folder, without a word to anybody; each is given back when it is written.

    Args:
        runs: of the study.
        study: its name, and that of the project.
        answer: the notes of each run of the setting that it is.
        folder: that is there.
    """
    import wandb

    settings = wandb.Settings(
        mode="offline", silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
        x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True,
    )  # fmt: skip
    for run in runs:
        outcome = [run.labels["outcome"], *(["answer"] if run.labels["answer"] == "true" else [])]
        with wandb.init(
            project=study, name=run.name, dir=str(folder), config=run.params | run.labels, tags=outcome,
            notes=answer if "answer" in outcome else None, settings=settings, reinit="finish_previous",
        ) as made:  # fmt: skip
            rows: dict[int, dict[str, float]] = {}
            for name, (steps, values) in run.series.items():
                for step, value in zip(steps, values, strict=True):
                    rows.setdefault(step, {})[name] = value
            for step in sorted(rows):
                made.log(rows[step], step=step)
            made.summary.update(run.measured)
            made.finish(exit_code=int(run.failed))
        yield run
