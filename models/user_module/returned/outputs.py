"""The loss of a model whose outputs have it, as Hugging Face's do where a batch has labels."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from gradstudy.models.user_module.returned.problem import ReturnedError, kind


def loss_of_outputs(task: str) -> Callable[[nn.Module, Any], Tensor]:
    """``model(**batch).loss``; raises ReturnedError where a batch is no dictionary, or there is no loss in it."""

    def loss(module: nn.Module, batch: Any) -> Tensor:
        name = type(module).__name__
        if not isinstance(batch, Mapping):
            raise ReturnedError(
                f"{task} returned no loss, {name} has no training_step and its batches are no dictionaries but "
                f"{kind(batch)}: return (module, batches, loss) with a function loss(module, batch)"
            )
        outputs = module(**batch)
        found = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
        if not isinstance(found, Tensor):
            raise ReturnedError(
                f"{task} returned no loss, and the outputs of {name} have none ({kind(outputs)}): put labels into the "
                f"batches, which have {', '.join(map(str, batch)) or 'nothing'}, or return (module, batches, loss)"
            )
        return found

    return loss
