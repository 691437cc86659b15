"""The strategies that a study compares where it names none."""

from gradstudy.models.strategies.shared_code import FLOAT32, TOTAL_NORM
from gradstudy.models.strategies.strategy import Strategy

BY_DEFAULT = (
    Strategy(
        name="none",
        rule="g",
        source="baseline",
        step="# no clipping: optimizer.step() follows loss.backward()",
    ),
    Strategy(
        name="norm",
        rule="g * min(1, c / (‖g‖ + 1e-6))",
        unit="norm of the gradient",
        low=0.01,
        high=10.0,
        source="Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063; torch.nn.utils.clip_grad_norm_",
        step="torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm={c})",
    ),
    Strategy(
        name="value",
        rule="clamp(g_i, -c, c) for each entry",
        unit="value of an entry",
        low=1e-4,
        high=1.0,
        source="Mikolov 2012; torch.nn.utils.clip_grad_value_",
        step="torch.nn.utils.clip_grad_value_(model.parameters(), clip_value={c})",
    ),
    Strategy(
        name="param_norm",
        rule="g_p * c / max(‖g_p‖, c) for each parameter",
        unit="norm of a parameter's gradient",
        low=1e-3,
        high=10.0,
        source="Keras clipnorm (Keras global_clipnorm is the strategy norm)",
        step=("for p in model.parameters():\n    torch.nn.utils.clip_grad_norm_(p, max_norm={c})"),
    ),
    Strategy(
        name="normalize",
        rule="c * g / (‖g‖ + 1e-6), always",
        unit="norm of the gradient",
        low=0.01,
        high=10.0,
        source="normalised gradient descent; Zhang et al. 2020, arXiv 1905.11881",
        step=f"{TOTAL_NORM}\nfor gradient in gradients:\n    gradient.mul_({{c}} / (norm + 1e-6))",
    ),
    Strategy(
        name="standardize",
        rule="(g_p - mean(g_p)) / (std(g_p) + 1e-8) for each parameter of more than two entries",
        source="ZNorm, arXiv 2408.01215",
        step=(
            "for p in model.parameters():\n"
            "    if p.grad is not None and p.grad.numel() > 2:\n"
            f"        gradient = p.grad.to({FLOAT32})\n"
            "        std, mean = torch.std_mean(gradient, correction=0)\n"
            "        p.grad.copy_((gradient - mean) / (std + 1e-8))"
        ),
    ),
    Strategy(
        name="agc",
        rule="g_i * min(1, c * max(‖w_i‖, 1e-3) / ‖g_i‖) for each output unit with weights w_i",
        unit="ratio of a unit's gradient norm to its weight norm",
        low=1e-3,
        high=1.0,
        source="Brock et al. 2021, arXiv 2102.06171",
        step=(
            "for p in [p for p in model.parameters() if p.grad is not None]:\n"
            "    axes = tuple(range(1, p.ndim)) or (0,)  # a unit is a row of a matrix, or a vector\n"
            f"    kind = {FLOAT32}\n"
            "    norm = torch.linalg.vector_norm(p.grad, dim=axes, keepdim=True, dtype=kind)\n"
            "    weight_norm = torch.linalg.vector_norm(p.detach(), dim=axes, keepdim=True, dtype=kind)\n"
            "    max_norm = {c} * weight_norm.clamp(min=1e-3)\n"
            "    p.grad.mul_(torch.where(norm > max_norm, max_norm / norm, 1.0))"
        ),
    ),
    Strategy(
        name="autoclip",
        rule="norm, at the c-th percentile of all norms seen so far",
        unit="percent of the norms seen",
        low=1.0,
        high=90.0,
        limit=100.0,
        source="Seetharaman et al. 2020, arXiv 2007.14469",
        setup="import numpy\n\nnorms, max_norm = [], 0.0",
        step=(
            f"{TOTAL_NORM}.item()\n"
            "if numpy.isfinite(norm):\n"
            "    norms.append(norm)\n"
            "    max_norm = numpy.percentile(norms, {c})\n"
            "for gradient in gradients:\n"
            "    gradient.mul_(min(max_norm / (norm + 1e-6), 1.0))"
        ),
    ),
    Strategy(
        name="zclip",
        rule="25 steps of warm-up, then where z = (‖g‖ - mean) / std > c: norm, at mean + c * std * c / z",
        unit="z-score of the norm",
        low=0.5,
        high=8.0,
        source="Kumar et al. 2025, arXiv 2504.02507",
        setup="import math\nimport statistics\n\nnorms, mean, variance = [], 0.0, 0.0",
        step=(
            f"{TOTAL_NORM}.item()\n"
            "if len(norms) == 25:  # the warm-up is over\n"
            "    std, seen = math.sqrt(variance), norm\n"
            "    z = (norm - mean) / (std + 1e-6)\n"
            "    if not z <= {c}:\n"
            "        seen = mean + {c} * std * {c} / z\n"
            "        for gradient in gradients:\n"
            "            gradient.mul_(min(seen / (norm + 1e-6), 1.0))\n"
            "    if math.isfinite(norm):\n"
            "        mean = 0.97 * mean + 0.03 * seen\n"
            "        variance = 0.97 * variance + 0.03 * (seen - mean) ** 2\n"
            "elif math.isfinite(norm):\n"
            "    norms.append(norm)\n"
            "    mean, variance = statistics.fmean(norms), statistics.pvariance(norms)"
        ),
    ),
)
