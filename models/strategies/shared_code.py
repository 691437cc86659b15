"""Lines of PyTorch that several strategies begin with."""

TOTAL_NORM = (
    "gradients = [p.grad for p in model.parameters() if p.grad is not None]\n"
    "norm = torch.nn.utils.get_total_norm([g.to(torch.promote_types(g.dtype, torch.float32)) for g in gradients])"
)
"""The norm of the whole gradient, at least in float32: in float16, norms beyond 65,504 would be infinite."""

FLOAT32 = "torch.promote_types(p.dtype, torch.float32)"
"""The type to compute in: that of the parameter, but at least float32."""

EACH_FINITE = "for p in [p for p in model.parameters() if p.grad is not None and p.grad.isfinite().all()]:"
"""Goes through the parameters whose gradient there is and is finite."""

EACH_SEEN = (
    "for p in [p for p in model.parameters() if p.grad is not None and p.grad.isfinite().all() and p.grad.any()]:"
)
"""As ``EACH_FINITE``, without those whose gradient is zero everywhere: they leave no trace in a memory."""

TAKE_AWAY = "model.zero_grad()  # optimizer.step() then changes nothing"
"""Skips the step: optimizers pass over what has no gradient."""
