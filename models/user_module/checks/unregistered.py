"""Layers that a module holds where torch does not look: nothing trains them, and a batch has those of one trial."""

from torch import nn
from torch.utils._pytree import tree_leaves


def unregistered(module: nn.Module) -> str | None:
    """The attribute that holds a layer in a list or dictionary, in words; None where there is none."""
    known = set(module.modules())
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name != "_modules" and any(
                isinstance(one, nn.Module) and one not in known for one in tree_leaves(value)
            ):
                whose = f"{path}.{name}".lstrip(".")
                return f"its {whose} holds layers that torch neither sees nor trains (nn.ModuleList shows them)"
    return None
