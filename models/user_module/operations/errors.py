"""What keeps a model from being batched, in words for its author."""


class UnbatchedError(RuntimeError):
    """Something that a batch cannot do; the message is a reason, as ``Batching.reason``."""
