"""The strategies that a study compares only where they are named.

Their warm-ups are scaled to runs of some hundred steps. docs/clipping.md says how.
"""

from gradstudy.models.strategies.shared_code import EACH_FINITE, EACH_SEEN, FLOAT32, TAKE_AWAY, TOTAL_NORM
from gradstudy.models.strategies.strategy import Strategy

WHEN_NAMED = (
    Strategy(
        name="rms",
        rule="g_p / max(1, RMS(g_p) / c) for each parameter",
        unit="root mean square of a parameter's gradient",
        low=1e-4,
        high=1.0,
        source="optax.clip_by_block_rms; Adafactor, arXiv 1804.04235",
        step=(
            f"{EACH_FINITE}\n"
            f"    rms = torch.linalg.vector_norm(p.grad, dtype={FLOAT32}) / p.numel() ** 0.5\n"
            "    p.grad.div_((rms / {c}).clamp(min=1.0))"
        ),
    ),
    Strategy(
        name="spectral",
        rule="singular values s of g_p become s / sqrt(1 + s² / c²); a vector is a matrix of one row",
        unit="singular value of a parameter's gradient",
        low=1e-3,
        high=10.0,
        source="soft spectral clipping of SPECTRA, arXiv 2603.14315 (there c = 0.1)",
        step=(
            f"{EACH_FINITE}\n"
            "    matrix = p.grad.double().reshape(len(p) if p.ndim > 1 else 1, -1)\n"
            "    u, s, v = torch.linalg.svd(matrix, full_matrices=False)\n"
            "    s = s / (1 + (s / {c}) ** 2).sqrt()\n"
            "    p.grad.copy_(((u * s) @ v).view_as(p))"
        ),
    ),
    Strategy(
        name="adagc",
        rule="g_p * min(1, c * m / ‖g_p‖) with m the running ‖clipped g_p‖; in the first 24 steps norm at 1",
        unit="multiple of the running norm of a parameter's gradient",
        low=0.5,
        high=4.0,
        source="AdaGC, arXiv 2502.11034 (there c = 1.05)",
        setup="running, steps = {}, {}",
        step=(
            f"{TOTAL_NORM}\n"
            f"{EACH_SEEN}\n"
            f"    own_norm = torch.linalg.vector_norm(p.grad, dtype={FLOAT32})\n"
            "    steps[p] = steps.get(p, 0) + 1\n"
            "    if steps[p] < 25:  # the warm-up\n"
            "        factor = (1.0 / norm).clamp(max=1.0)\n"
            "        running[p] = torch.minimum(running.get(p, own_norm * factor), own_norm * factor)\n"
            "    else:\n"
            "        factor = ({c} * running[p] / own_norm).clamp(max=1.0)\n"
            "        running[p] = 0.98 * running[p] + 0.02 * own_norm * factor\n"
            "    p.grad.mul_(factor)"
        ),
    ),
    Strategy(
        name="spam_entry",
        rule="clamp(g_i, -sqrt(c v_i), sqrt(c v_i)) with v_i the running clipped g_i²; from the 20th step on",
        unit="ratio of an entry's square to its running mean",
        low=10.0,
        high=1e4,
        source="SPAM, arXiv 2501.06842 (there c = 5000)",
        setup="squares, steps = {}, {}",
        step=(
            f"{EACH_SEEN}\n"
            "    steps[p] = steps.get(p, 0) + 1\n"
            f"    square = squares.get(p, torch.zeros_like(p.grad, dtype={FLOAT32}))\n"
            "    if steps[p] >= 20:  # the warm-up is over\n"
            "        bound = torch.where(square > 0, ({c} * square).sqrt(), torch.inf)\n"
            "        p.grad.copy_(p.grad.clamp(-bound, bound))\n"
            "    squares[p] = 0.999 * square + 0.001 * p.grad.to(square.dtype) ** 2"
        ),
    ),
    Strategy(
        name="stable_spam",
        rule="entries at most the mean of the largest, then g_p * mean(‖g_p‖) / (‖g_p‖ * sqrt(mean(‖g_p‖²)))",
        source="Stable-SPAM, arXiv 2502.17055",
        setup="means = {}",
        step=(
            f"{EACH_SEEN}\n"
            f"    gradient = p.grad.to({FLOAT32})\n"
            "    steps, largest, norm, square = means.get(p, (0, 0.0, 0.0, 0.0))\n"
            "    steps += 1\n"
            "    top = gradient.abs().max()\n"
            "    largest = 0.999 * largest + 0.001 * top\n"
            "    bound = largest / (1 - 0.999**steps)\n"
            "    gradient = torch.where(gradient.abs() > bound, gradient * (bound / top), gradient)\n"
            "    own_norm = torch.linalg.vector_norm(gradient)\n"
            "    norm = 0.7 * norm + 0.3 * own_norm\n"
            "    square = 0.9 * square + 0.1 * own_norm**2\n"
            "    target = norm / (1 - 0.7**steps) / ((square / (1 - 0.9**steps)).sqrt() + 1e-8)\n"
            "    p.grad.copy_(gradient * (target / own_norm))\n"
            "    means[p] = steps, largest, norm, square"
        ),
    ),
    Strategy(
        name="median_norm",
        rule="norm, at c times the median of the last 40 norms, found every 40 steps; at 2c of the first 10, 20",
        unit="multiple of the median norm",
        low=0.5,
        high=8.0,
        source="clipping_scale of icefall's ScaledAdam (there c = 2)",
        setup="import math\n\nnorms, max_norm = [], math.inf",
        step=(
            f"{TOTAL_NORM}.item()\n"
            "if math.isfinite(norm):\n"
            "    norms.append(norm)\n"
            "    if len(norms) in (10, 20) or len(norms) % 40 == 0:\n"
            "        recent = sorted(norms[-40:])\n"
            "        median = recent[len(recent) // 4 * 2]\n"
            "        max_norm = (2 if len(norms) < 40 else 1) * {c} * median\n"
            "for gradient in gradients:\n"
            "    gradient.mul_(min(1.0, max_norm / (norm + 1e-6)))"
        ),
    ),
    Strategy(
        name="skip_norm",
        rule="skips the step where ‖g‖ >= c or is not finite",
        unit="norm of the gradient",
        low=0.1,
        high=100.0,
        skips=True,
        source="grad_norm_skip_threshold of Megatron-LM; drop_norm of axlearn",
        step=f"{TOTAL_NORM}\nif not norm < {{c}}:\n    {TAKE_AWAY}",
    ),
    Strategy(
        name="skip_z",
        rule="skips the step where ‖g‖ or the loss is more than c deviations from the mean of the last 40",
        unit="z-score of norm and loss",
        low=2.0,
        high=12.0,
        skips=True,
        source="SkipStepOptimizer of OLMo-core (there c = 6)",
        setup="import math\nimport statistics\n\nlosses, norms = [], []",
        step=(
            f"{TOTAL_NORM}.item()\n"
            "skip = not (math.isfinite(norm) and math.isfinite(loss.item()))\n"
            "if not skip:\n"
            "    for seen, latest in ((losses, loss.item()), (norms, norm)):\n"
            "        if len(seen) >= 19:\n"
            "            mean, std = statistics.fmean(seen), statistics.stdev(seen)\n"
            "            skip = skip or abs(latest - mean) > {c} * std\n"
            "        seen.append(latest)\n"
            "        del seen[:-40]\n"
            "if skip:\n"
            f"    {TAKE_AWAY}"
        ),
    ),
)
