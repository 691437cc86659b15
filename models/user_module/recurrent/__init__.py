"""``nn.LSTM``, ``nn.GRU``, ``nn.RNN``, their cells and dropout under ``torch.func.vmap``, which torch has no rules for.

An ensemble of 16 models with recurrent layers, as one batched program::

    models = [Model() for _ in range(16)]
    parameters, buffers = torch.func.stack_module_state(models)

    def loss(parameters, buffers, key, x):
        with BatchedLayers(key):
            return torch.func.functional_call(models[0], (parameters, buffers), (x,)).mean()

    keys = torch.arange(16) << 32  # of dropout, one for each model; count up from step to step
    losses = torch.func.vmap(loss, in_dims=(0, 0, 0, None))(parameters, buffers, keys, x)
    losses.sum().backward()

``torch.func.grad`` below ``vmap`` works as well, and runs the layers' forward pass twice.
"""

from gradstudy.models.user_module.recurrent.mode import BatchedLayers

__all__ = ["BatchedLayers"]
