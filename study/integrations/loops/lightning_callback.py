"""A callback of Lightning's that clips, watches, and records a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gradstudy.models.loss_names import LossKind
from gradstudy.study.errors import PackageMissingError, SpecError
from gradstudy.study.integrations.loops.loop_watch import LoopWatch, OnDivergence
from gradstudy.study.integrations.loops.recorded_run import RecordedRun
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.plain import UNKNOWN_CELL

try:
    from lightning.pytorch import Callback
except ImportError:
    raise PackageMissingError(
        'GradstudyCallback needs lightning; install it with: pip install "gradstudy[lightning]"'
    ) from None

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class GradstudyCallback(Callback):  # type: ignore[misc] # of a package that is not followed
    """Clips the gradients of a Lightning module by any rule, watches it, and records it as a trial of a study.

    The norms before and after clipping are logged as ``grad_norm`` and ``applied_norm``. It is for a module with one
    optimizer, whose trainer clips nothing by itself.
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
        validation_loss: str = "val_loss",
    ) -> None:
        """Choose how to clip, where to record, and what to do when the run diverges.

        Args:
            strategy: the clipping strategy, a name in ``STRATEGIES``.
            threshold: in its unit; None where it has none.
            study: to record the run in, see ``record_run``; None records it nowhere.
            storage: as the next four of ``record_run``.
            cell: what is trained.
            factors: what else differs between runs.
            seed: to be shown.
            loss: which loss is trained.
            guard: whether to skip steps whose loss or gradient is not finite.
            on_divergence: ``stop`` the training without the step that diverged; ``rewind`` to the last good state and
                go on with half the learning rate, three times at most, where the run has ended as diverged; or
                ``continue``, and only record it.
            validation_loss: the name under which the module logs it.

        Raises:
            SpecError: there is no such strategy, it does not take this threshold, or clips inside the backward pass.
        """
        super().__init__()
        self._watch = LoopWatch(
            strategy, threshold, study=study, storage=storage, cell=cell, factors=factors, seed=seed, loss=loss,
            guard=guard, on_divergence=on_divergence,
        )  # fmt: skip
        self._validation_loss = validation_loss
        self._untrained: float | None = None
        self._losses: list[torch.Tensor] = []

    @property
    def run(self) -> RecordedRun | None:
        """The training as it was recorded; None before the first."""
        return self._watch.run

    def on_train_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Begin to record."""
        if trainer.gradient_clip_val:
            raise SpecError(
                "GradstudyCallback clips in the place of the trainer, but got a trainer with gradient_clip_val="
                f"{trainer.gradient_clip_val!r}: leave that out"
            )
        if len(trainer.optimizers) != 1:
            raise SpecError(f"GradstudyCallback takes a module with one optimizer, but got {len(trainer.optimizers)}")
        groups = trainer.optimizers[0].param_groups
        self._watch.begin(max(group.get("initial_lr", group["lr"]) for group in groups), self._untrained)
        self._losses.clear()

    def on_before_backward(self, trainer: "Trainer", pl_module: "LightningModule", loss: torch.Tensor) -> None:
        """Keep the loss of a batch, which may be one of several of a step."""
        scaler = _scaler_of(trainer)
        scale = 1.0 if scaler is None else scaler.get_scale()
        self._losses.append(loss.detach() / scale * trainer.accumulate_grad_batches)

    def on_before_optimizer_step(
        self, trainer: "Trainer", pl_module: "LightningModule", optimizer: torch.optim.Optimizer
    ) -> None:
        """Clip, and look whether the run goes on."""
        loss = torch.stack(self._losses).mean()
        self._losses.clear()
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        stepped = self._watch.step(pl_module, optimizer, loss, schedulers, _scaler_of(trainer))
        norms = {"grad_norm": stepped.norm, "applied_norm": stepped.applied_norm}
        pl_module.log_dict(norms, on_step=True, on_epoch=False, batch_size=1)
        if not stepped.goes_on:
            trainer.should_stop = True

    def on_validation_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Take in the validation loss; that of the sanity check is of the untrained model."""
        value: Any = trainer.callback_metrics.get(self._validation_loss)
        if value is None:
            return
        if trainer.sanity_checking:
            self._untrained = float(value)
        else:
            self._watch.validation(float(value))

    def on_train_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Write how the run ended."""
        self._watch.end()

    def on_exception(self, trainer: "Trainer", pl_module: "LightningModule", exception: BaseException) -> None:
        """Write that the run failed."""
        self._watch.end(exception)


def _scaler_of(trainer: "Trainer") -> torch.amp.GradScaler | None:
    """What scales the losses of float16, whose gradients Lightning unscales before its callbacks."""
    return getattr(trainer.precision_plugin, "scaler", None)
