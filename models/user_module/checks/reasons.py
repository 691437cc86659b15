"""Why a model is trained one at a time, in one line that its author can do something about."""

import re

from gradstudy.models.user_module.random_state import DRAWS
from gradstudy.models.user_module.state.history import NOT_DETACHED

DIFFER = "which differ between trials"

SENTENCES: tuple[tuple[str, str], ...] = (
    (r"randomness", DRAWS),
    (r"\.item\(\)", f"it reads values of tensors, as by .item() or int(), {DIFFER}"),
    (r"data-dependent control flow", f"it decides by values of tensors, as in `if` and `while`, {DIFFER}"),
    (r"data pointer|numpy\(\)|have storage", f"it reads values of tensors, as by .tolist() or .numpy(), {DIFFER}"),
    (
        r"dynamic shape|differently shaped",
        f"it makes tensors whose size depends on values, as by nonzero() or unique(), {DIFFER}",
    ),
    (
        r"setup_context|generate_vmap_rule",
        "it has a backward hook on a module, a checkpoint with use_reentrant=True or another autograd.Function without "
        "a rule for vmap (setup_context and generate_vmap_rule = True give it one)",
    ),
    (
        r"BFloat16|Half",
        "its recurrent layers compute in half precision, as under torch.autocast, which those of a batch do not",
    ),
    (
        r"atching rule .* aten::(?:lstm|gru|rnn)",
        "its recurrent layers are called where a batch has none of them: in torch.utils.checkpoint or torch.jit",
    ),
    (r"TorchScript", "torch cannot batch recurrent layers that torch.jit has compiled"),
    (r"batching rule for (?:aten::)?(\w+)", r"torch cannot batch \1"),
    (r"Batching rule not implemented for (?:aten::)?(\w+)", r"torch cannot batch \1"),
    (r"inplace arithmetic|in-place|inplace", "it writes what differs between trials into a tensor that they share"),
    (r"sparse", "it computes with sparse tensors"),
)
"""What torch says, as a pattern, and what is said of it."""


def in_words(error: BaseException) -> str:
    """What is wrong, in one line."""
    if NOT_DETACHED in getattr(error, "__notes__", ()):
        return NOT_DETACHED.removesuffix(".")
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    is_ours = type(error).__module__.startswith("gradstudy.")
    for pattern, sentence in () if is_ours else SENTENCES:
        if found := re.search(pattern, first):
            return found.expand(sentence) if found.groups() else sentence
    return first.split(". ")[0].removesuffix(".")
