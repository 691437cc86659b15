"""The answer as PyTorch: optimizer, schedule, clipping and guard as the study had them."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from gradstudy.models.parametrization_names import is_by_size
from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.spec.optimizer.optimization import optimizer_settings, schedule_of

AUTOCAST = "# model and loss are computed within torch.autocast(device_type, torch.{precision})"
SMOOTHING = "# loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing={smoothing:g})"
SCALER = "scaler = torch.amp.GradScaler()\n# scaler.scale(loss).backward() in place of loss.backward()"
OWN = "# your own optimizer, with lr={lr}"
OWN_CLIPPING = "# clip as your program does{at}"
MUP = """# maximal update parametrization: `base` is your model with hidden size {base}; multiply what the output layer
# reads, and the scores of attention, by {base} / hidden_size
groups = []
for p, q in zip(model.parameters(), base.parameters()):
    grown = [n / m for n, m in zip(p.shape, q.shape) if n != m]
    if len(grown) == 1 and q.std() > 0:
        p.data.mul_(q.std() / p.std())
    rate = {rate}
    groups.append({{"params": [p], "lr": {lr} * rate, "weight_decay": {decay} / rate}})"""
BY_SIZE_RATE = "grown[0] / grown[1] if len(grown) == 2 else (grown or [1])[0]"
EVEN_RATE = "1 / grown[1] if len(grown) == 2 else 1"
GUARD = """gradients = [p.grad for p in model.parameters() if p.grad is not None]
if torch.isfinite(loss) and torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
"""


def code_to_paste(strategy: str, threshold: float | None, learning_rate: float, spec: Mapping[str, Any]) -> str:
    """The lines for a training loop over ``model`` and ``loss``.

    Args:
        strategy: clipping strategy.
        threshold: that it takes; None for one without.
        learning_rate: of the optimizer.
        spec: of the study, as JSON: the optimizer, its learning rates, ``guard``, ``precision`` and label smoothing
            count, of which the values of factors come first.
    """
    rule = STRATEGIES[strategy]
    precision = spec.get("precision", "float32")
    if precision == "float16":  # the scaler skips what is not finite
        step = f"scaler.unscale_(optimizer)\n{rule.pytorch_step(threshold)}\nscaler.step(optimizer)\nscaler.update()"
    else:
        step = f"{rule.pytorch_step(threshold)}\noptimizer.step()"
    if spec.get("guard") and precision != "float16":
        step = GUARD + indent(step, "    ")
    schedule = schedule_of(spec).code()
    if schedule:
        step += "\nschedule.step()"
    if spec.get("optimizer") == "own":
        optimizer = OWN.format(lr=f"{learning_rate:g}")
    elif base := _base_width(spec):
        settings = optimizer_settings(spec)
        by_size = is_by_size(settings.name, strategy)
        groups = MUP.format(
            base=base,
            rate=BY_SIZE_RATE if by_size else EVEN_RATE,
            lr=f"{learning_rate:g}",
            decay=f"{settings.values['weight_decay']:g}",
        )
        optimizer = f"{groups}\noptimizer = {settings.code(learning_rate, 'groups')}"
    else:
        optimizer = f"optimizer = {optimizer_settings(spec).code(learning_rate)}"
    smoothing = spec.get("label_smoothing", spec.get("model", {}).get("label_smoothing", 0))
    parts = [
        AUTOCAST.format(precision=precision) if precision != "float32" else "",
        SMOOTHING.format(smoothing=smoothing) if smoothing else "",
        SCALER if precision == "float16" else "",
        optimizer,
        schedule,
        rule.pytorch_setup(threshold),
    ]
    before = "\n".join(part for part in parts if part)
    return _in_a_loop(before, step)


def code_in_your_program(strategy: str, threshold: float | None, learning_rate: float) -> str:
    """The lines that are known of a setting of somebody's own program: its optimizer is not.

    Args:
        strategy: clipping strategy, also one that gradstudy has not.
        threshold: that it takes; None for one without.
        learning_rate: of the optimizer.
    """
    rule = STRATEGIES.get(strategy)
    if rule is not None and (rule.unit is None) == (threshold is None):
        return code_to_paste(strategy, threshold, learning_rate, {"optimizer": "own"})
    clipping = OWN_CLIPPING.format(at="" if threshold is None else f", at {threshold:g}")
    return _in_a_loop(OWN.format(lr=f"{learning_rate:g}"), f"{clipping}\noptimizer.step()")


def _in_a_loop(before: str, step: str) -> str:
    return f"# once, before the training loop\n{before}\n\n# after loss.backward()\n{step}"


def _base_width(spec: Mapping[str, Any]) -> int | None:
    """The base width of a model in the maximal update parametrization that has another one; None for all others."""
    model = {"parametrization": "standard", "base_width": 0, "hidden_size": 0} | spec.get("model", {})
    model |= {name: spec[name] for name in model.keys() & spec.keys()}
    if model["parametrization"] != "mup" or model["base_width"] == model["hidden_size"]:
        return None
    return int(model["base_width"])
