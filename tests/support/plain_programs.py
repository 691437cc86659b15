"""Optuna programs as people write them, whose truth is known in closed form.

What they train is gradient descent on a parabola, w <- w - 2 lr w from w = 2: the loss is 4 (1 - 2 lr)^(2 steps), so a
run diverges exactly when lr > 1, and the best learning rate is 1/2.
"""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
UNTRAINED, EDGE, STEPS = 4.0, 1.0, 300
OPTIMIZERS = ["Adam", "RMSprop", "SGD"]


def descend(lr: float, steps: int = STEPS) -> list[float]:
    """The loss after each step; at last inf, then NaN, above the edge."""
    w, losses = 2.0, []
    for _ in range(steps):
        w = w - 2 * lr * w
        losses.append(w * w)
    return losses


def returns_nan(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-3, 1e2, log=True)
    return descend(lr)[-1]


def raises(trial: optuna.Trial) -> float:
    loss = descend(trial.suggest_float("learning_rate", 1e-3, 1e2, log=True))[-1]
    if not loss <= UNTRAINED:
        raise ValueError("the loss is not finite")
    return loss


def fails_now_and_then(trial: optuna.Trial) -> float:
    loss = descend(trial.suggest_float("lr", 1e-3, 0.9, log=True))[-1]
    if trial.number % 5 == 3:
        raise RuntimeError("CUDA out of memory")
    return loss


def prunes(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-3, 1e2, log=True)
    w = 2.0
    for epoch in range(20):
        for _ in range(5):
            w = w - 2 * lr * w
        loss = w * w
        trial.report(loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


def reports(trial: optuna.Trial) -> float:
    for step, loss in enumerate(descend(trial.suggest_float("lr", 1e-5, 1e2, log=True), 20)):
        trial.report(loss, step)
    return loss


def returns_a_large_number(trial: optuna.Trial) -> float:
    loss = descend(trial.suggest_float("lr", 1e-3, 1e2, log=True))[-1]
    return loss if loss <= UNTRAINED else 1e6


def returns_inf(trial: optuna.Trial) -> float:
    loss = descend(trial.suggest_float("lr", 1e-3, 1e2, log=True))[-1]
    return loss if loss <= UNTRAINED else float("inf")


def of_two_objectives(trial: optuna.Trial) -> tuple[float, float]:
    lr, units = trial.suggest_float("lr", 1e-3, 0.9, log=True), trial.suggest_int("units", 16, 512)
    return float(units), descend(lr, 5)[-1]


def of_categories(trial: optuna.Trial) -> float:
    lr = trial.suggest_categorical("lr", [1e-3, 1e-2, 1e-1, 10.0])
    trial.suggest_categorical("optimizer", OPTIMIZERS)
    return descend(lr)[-1]


def of_accuracy(trial: optuna.Trial) -> float:
    """The form of Optuna's PyTorch example: layers of their own sizes, an optimizer by name, accuracy by epoch."""
    for layer in range(trial.suggest_int("n_layers", 1, 3)):
        trial.suggest_int(f"n_units_l{layer}", 4, 128)
        trial.suggest_float(f"dropout_l{layer}", 0.2, 0.5)
    trial.suggest_categorical("optimizer", OPTIMIZERS)
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    for epoch, loss in enumerate(descend(lr, 10)):
        accuracy = 1 - loss / UNTRAINED
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def of_each_optimizer(trial: optuna.Trial) -> float:
    """The form of Optuna's TensorFlow example: a learning rate for each optimizer, of which a trial has one."""
    name = trial.suggest_categorical("optimizer", OPTIMIZERS)
    trial.suggest_float("weight_decay", 1e-10, 1e-3, log=True)
    return descend(trial.suggest_float(f"{name.lower()}_learning_rate", 1e-3, 1e2, log=True))[-1]


def of_exponents(trial: optuna.Trial) -> float:
    return descend(10 ** trial.suggest_float("log_lr", -3, 2))[-1]


def of_clipping(trial: optuna.Trial) -> float:
    """Lightning's names: the gradient is clipped by norm, and 0 switches clipping off."""
    lr, most = trial.suggest_float("lr", 1e-3, 1e2, log=True), trial.suggest_categorical("gradient_clip_val", [0, 0.5])
    w = 2.0
    for _ in range(STEPS):
        gradient = 2 * w
        w -= lr * (gradient if not most else math.copysign(min(abs(gradient), most), gradient))
    return w * w


def under_constraints(trial: optuna.Trial) -> float:
    lr, units = trial.suggest_float("lr", 1e-3, 1e2, log=True), trial.suggest_int("units", 16, 512)
    loss = descend(lr)[-1]
    trial.set_constraint("divergence", 1.0 if not loss <= UNTRAINED else -1.0)
    trial.set_constraint("memory", units - 400.0)
    return min(loss, UNTRAINED) if loss == loss else UNTRAINED


def run(
    objective: Callable[[optuna.Trial], float] | Callable[[optuna.Trial], tuple[float, float]],
    storage: str | BaseStorage,
    trials: int = 60,
    name: str = "plain",
    **given: object,
) -> optuna.Study:
    """Run a program: a random search with a seed unless said otherwise."""
    options: dict[str, object] = {"sampler": optuna.samplers.RandomSampler(seed=0), **given}
    study = optuna.create_study(study_name=name, storage=storage, **options)  # type: ignore[arg-type]
    study.optimize(objective, n_trials=trials, catch=(Exception,))  # type: ignore[arg-type]
    return study


def journal(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))
