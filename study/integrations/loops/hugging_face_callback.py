"""A callback of Hugging Face's trainer that clips, watches, and records a run."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradstudy.models.loss_names import LossKind
from gradstudy.study.errors import PackageMissingError, SpecError
from gradstudy.study.integrations.loops.loop_watch import LoopWatch, OnDivergence
from gradstudy.study.integrations.loops.recorded_run import RecordedRun
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.plain import UNKNOWN_CELL

try:
    from transformers import TrainerCallback
except ImportError:
    raise PackageMissingError(
        'GradstudyTrainerCallback needs transformers; install it with: pip install "gradstudy[transformers]"'
    ) from None

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle
    from transformers import TrainerControl, TrainerState, TrainingArguments

LOSS = "eval_loss"
"""Under this name a trainer has the validation loss; what else it measured begins alike."""


class GradstudyTrainerCallback(TrainerCallback):  # type: ignore[misc] # of a package that is not followed
    """Clips the gradients that a Hugging Face ``Trainer`` trains by, watches them, and records a trial of a study.

    The trainer must clip nothing by itself, ``max_grad_norm=0``, and the model must return its loss. The norms are
    among what the trainer logs, as ``grad_norm`` and ``applied_norm``.
    """

    def __init__(
        self,
        strategy: str = "norm",
        threshold: float | None = None,
        *,
        study: str | None = None,
        storage: str | None = None,
        cell: str = UNKNOWN_CELL,
        factors: Mapping[str, FactorValue] | None = None,
        seed: int = 0,
        loss: LossKind = "cross_entropy",
        guard: bool = False,
        on_divergence: OnDivergence = "stop",
    ) -> None:
        """Choose how to clip, where to record, and what to do when the run diverges: as ``GradstudyCallback``."""
        self._watch = LoopWatch(
            strategy, threshold, study=study, storage=storage, cell=cell, factors=factors, seed=seed, loss=loss,
            guard=guard, on_divergence=on_divergence,
        )  # fmt: skip
        self._losses: list[tuple[torch.Tensor, bool]] = []
        self._norms: dict[str, float] = {}
        self._hook: RemovableHandle | None = None

    @property
    def run(self) -> RecordedRun | None:
        """The training as it was recorded; None before the first."""
        return self._watch.run

    def on_train_begin(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **given: Any
    ) -> None:
        """Begin to record."""
        if args.max_grad_norm:
            raise SpecError(
                "GradstudyTrainerCallback clips in the place of the trainer: give TrainingArguments(max_grad_norm=0), "
                f"but got {args.max_grad_norm!r}"
            )
        groups = given["optimizer"].param_groups
        self._watch.begin(max(group.get("initial_lr", group["lr"]) for group in groups))
        self._losses.clear()
        self._unhook()
        self._hook = given["model"].register_forward_hook(self._see, with_kwargs=True)

    def on_pre_optimizer_step(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **given: Any
    ) -> None:
        """Clip, and look whether the run goes on."""
        optimizer = given["optimizer"]
        if (scaler := getattr(optimizer, "scaler", None)) is not None:
            with suppress(RuntimeError):  # trainers that log the norm have unscaled already
                scaler.unscale_(optimizer.optimizer)
        if not self._losses:
            raise SpecError("GradstudyTrainerCallback reads the loss that the model returns, but it returned none")
        losses = torch.stack([loss for loss, _ in self._losses])
        loss = losses.sum() if self._losses[0][1] else losses.mean()
        self._losses.clear()
        stepped = self._watch.step(given["model"], optimizer, loss, [given["lr_scheduler"]], scaler)
        self._norms = {"grad_norm": stepped.norm, "applied_norm": stepped.applied_norm}
        if not stepped.goes_on:
            control.should_training_stop = True

    def on_log(self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **given: Any) -> None:
        """Put the norms of the last step beside the loss that is logged."""
        if "loss" in (given.get("logs") or {}):
            given["logs"].update(self._norms)
            state.log_history[-1].update(self._norms)

    def on_evaluate(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **given: Any
    ) -> None:
        """Take in the validation loss, before the first step that of the untrained model."""
        metrics: Mapping[str, Any] = given.get("metrics") or {}
        if LOSS in metrics:
            self._watch.validation(float(metrics[LOSS]))

    def on_train_end(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **given: Any
    ) -> None:
        """Write how the run ended."""
        self._unhook()
        self._watch.end()

    def _see(self, model: nn.Module, inputs: Any, named: Mapping[str, Any], output: Any) -> None:
        """Keep the loss of a batch; whether those of the batches of a step are shares of it, to be added."""
        loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if loss is None and isinstance(output, tuple):
            loss = output[0]
        if model.training and isinstance(loss, torch.Tensor) and loss.numel() == 1:
            self._losses.append((loss.detach(), named.get("num_items_in_batch") is not None))

    def _unhook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
