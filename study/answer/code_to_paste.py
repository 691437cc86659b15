"""The answer as PyTorch: optimizer, schedule, clipping and guard as the study had them."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.spec.optimization import optimizer_settings, schedule_of

AUTOCAST = "# model and loss are computed within torch.autocast(device_type, torch.bfloat16)"
OWN = "# your own optimizer, with lr={lr}"
GUARD = """gradients = [p.grad for p in model.parameters() if p.grad is not None]
if torch.isfinite(loss) and torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
"""


def code_to_paste(strategy: str, threshold: float | None, learning_rate: float, spec: Mapping[str, Any]) -> str:
    """The lines for a training loop over ``model`` and ``loss``.

    Args:
        strategy: clipping strategy.
        threshold: that it takes; None for one without.
        learning_rate: of the optimizer.
        spec: of the study, as JSON: the optimizer, its learning rates, ``guard`` and ``precision`` count.
    """
    rule = STRATEGIES[strategy]
    step = f"{rule.pytorch_step(threshold)}\noptimizer.step()"
    if spec.get("guard"):
        step = GUARD + indent(step, "    ")
    schedule = schedule_of(spec).code()
    if schedule:
        step += "\nschedule.step()"
    if spec.get("optimizer") == "own":
        optimizer = OWN.format(lr=f"{learning_rate:g}")
    else:
        optimizer = f"optimizer = {optimizer_settings(spec).code(learning_rate)}"
    precision = AUTOCAST if spec.get("precision") == "bfloat16" else ""
    parts = [precision, optimizer, schedule, rule.setup]
    before = "\n".join(part for part in parts if part)
    return f"# once, before the training loop\n{before}\n\n# after loss.backward()\n{step}"
