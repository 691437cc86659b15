"""A study as TensorBoard's logs: a folder for each run, with its hyperparameters."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gradstudy.study.integrations.exports.exported_run import ExportedRun


def to_tensorboard(runs: Iterable[ExportedRun], study: str, answer: str, folder: Path) -> Iterator[ExportedRun]:
    """Write each run into a folder of its own; each is given back when it is written.

    Args:
        runs: of the study.
        study: its name.
        answer: a text beside the runs.
        folder: that is there.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    with SummaryWriter(str(folder)) as writer:
        writer.add_text("answer", f"{study}: {answer}")
    for run in runs:
        with SummaryWriter(str(folder / run.name)) as writer:
            last = run.time_of(run.steps)
            for summary in hparams(run.params | run.labels, dict.fromkeys(run.measured, 0.0)):
                writer._get_file_writer().add_summary(summary)
            for name, value in run.measured.items():
                writer.add_scalar(name, value, run.steps, last)
            for name, (steps, values) in run.series.items():
                for step, value in zip(steps, values, strict=True):
                    writer.add_scalar(name, value, step, run.time_of(step))
        yield run
