"""The answer as PyTorch: optimizer, clipping and guard as the study had them."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from gradstudy.models.strategies import STRATEGIES

OPTIMIZERS: Mapping[str, str] = {
    "sgd": "torch.optim.SGD(model.parameters(), lr={lr})",
    "momentum": "torch.optim.SGD(model.parameters(), lr={lr}, momentum=0.9)",
    "adam": "torch.optim.Adam(model.parameters(), lr={lr})",
}
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
        spec: of the study, as JSON: ``optimizer``, ``guard`` and ``precision`` count.
    """
    rule = STRATEGIES[strategy]
    step = f"{rule.pytorch_step(threshold)}\noptimizer.step()"
    if spec.get("guard"):
        step = GUARD + indent(step, "    ")
    optimizer = OPTIMIZERS.get(spec.get("optimizer", "sgd"))
    first = OWN if optimizer is None else f"optimizer = {optimizer}"
    precision = AUTOCAST if spec.get("precision") == "bfloat16" else ""
    parts = [precision, first.format(lr=f"{learning_rate:.3g}"), rule.setup]
    before = "\n".join(part for part in parts if part)
    return f"# once, before the training loop\n{before}\n\n# after loss.backward()\n{step}"
