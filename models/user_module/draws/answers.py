"""Torch's functions that draw random numbers, answered by those of a trial's own key."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradstudy.models.user_module.draws.numbers import Numbers

Answer = Callable[..., Any]
"""Takes the numbers of a forward pass and the arguments of torch's function; ``NotImplemented`` leaves it to torch."""

ALPHA = 1.7580993408473766
"""What SELU tends to for small numbers, with the sign turned."""


def _rand(numbers: Numbers, *size: Any, **options: Any) -> Any:
    return _made(options, lambda dtype: numbers.uniform(_shape(size, options), dtype))


def _randn(numbers: Numbers, *size: Any, **options: Any) -> Any:
    return _made(options, lambda dtype: numbers.normal(_shape(size, options), dtype))


def _rand_like(numbers: Numbers, x: Tensor, **options: Any) -> Any:
    return _made(options, lambda dtype: numbers.uniform(x.shape, dtype), x)


def _randn_like(numbers: Numbers, x: Tensor, **options: Any) -> Any:
    return _made(options, lambda dtype: numbers.normal(x.shape, dtype), x)


def _randint(numbers: Numbers, *given: Any, **options: Any) -> Any:
    *ends, size = (*given, options.pop("size")) if "size" in options else given
    low, high = _ends(ends, options)
    return _made({"dtype": torch.int64, **options}, lambda dtype: numbers.integers(low, high, size).to(dtype))


def _randint_like(numbers: Numbers, x: Tensor, *ends: int, **options: Any) -> Any:
    low, high = _ends(ends, options)
    return _made(options, lambda dtype: numbers.integers(low, high, x.shape).to(dtype), x)


def _randperm(numbers: Numbers, n: int, **options: Any) -> Any:
    return _made({"dtype": torch.int64, **options}, lambda dtype: numbers.permutation(n).to(dtype))


def _normal(numbers: Numbers, mean: Any = 0.0, std: Any = 1.0, size: Any = None, **options: Any) -> Any:
    tensors = [one.detach() for one in (mean, std) if isinstance(one, Tensor)]
    like = torch.broadcast_tensors(*tensors)[0] if tensors else None
    shape = size if like is None else like.shape
    if shape is None:
        return NotImplemented
    centre, width = (one.detach() if isinstance(one, Tensor) else one for one in (mean, std))
    return _made(options, lambda dtype: (centre + width * numbers.normal(shape, dtype)).to(dtype), like)


def _bernoulli(numbers: Numbers, x: Tensor, p: float | None = None, **options: Any) -> Any:
    chance = x.detach() if p is None else p
    return _made(options, lambda dtype: (numbers.uniform(x.shape, _floating(x)) < chance).to(dtype), x)


def _multinomial(numbers: Numbers, x: Tensor, num_samples: int, replacement: bool = False, **options: Any) -> Any:
    options = {"dtype": torch.int64, **options}
    return _made(options, lambda dtype: numbers.choices(x, num_samples, again=replacement), x)


def _in_place(make: Callable[..., Tensor]) -> Answer:
    """The answer of a method that fills a tensor with what ``make`` makes."""

    def fill(numbers: Numbers, x: Tensor, *args: Any, generator: Any = None, **options: Any) -> Any:
        if generator is not None:
            return NotImplemented
        made = make(numbers, x, *args, **options)
        return made if made is NotImplemented else x.copy_(made)

    return fill


def _uniform_(numbers: Numbers, x: Tensor, *ends: float, **named: float) -> Tensor:
    low, high = (*ends, *(0.0, 1.0)[len(ends) :])
    low, high = named.get("from", low), named.get("to", high)
    return low + (high - low) * numbers.uniform(x.shape, x.dtype)


def _random_(numbers: Numbers, x: Tensor, *ends: int, **named: int) -> Any:
    ends = (*ends, *(named[name] for name in ("from", "to") if name in named))
    return numbers.integers(*_ends(ends, {}), x.shape) if ends else NotImplemented


def _bernoulli_(numbers: Numbers, x: Tensor, p: Any = 0.5) -> Tensor:
    chance = p.detach() if isinstance(p, Tensor) else p
    return numbers.uniform(x.shape, _floating(x)) < chance


def _rrelu(
    numbers: Numbers, x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **options: Any
) -> Any:
    if not training:
        return functional.leaky_relu(x, (lower + upper) / 2)
    if options.get("generator") is not None:
        return NotImplemented
    return torch.where(x > 0, x, x * (lower + (upper - lower) * numbers.uniform(x.shape, x.dtype)))


def _dropout(numbers: Numbers, x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return numbers.dropout(x, p) if training and p > 0 else x


def _of_features(x: Tensor) -> Sequence[int]:
    return *x.shape[:2], *(1,) * (x.ndim - 2)


def _feature_dropout(numbers: Numbers, x: Tensor, p: float, train: bool) -> Tensor:
    if not train or p == 0:
        return x
    return x * numbers.kept(_of_features(x), p, x.dtype) / (1 - p) if p < 1 else x * 0


def _alpha_dropout(numbers: Numbers, x: Tensor, p: float, train: bool) -> Tensor:
    return _with_alpha(numbers, x, p, x.shape) if train and p > 0 else x


def _feature_alpha_dropout(numbers: Numbers, x: Tensor, p: float, train: bool) -> Tensor:
    return _with_alpha(numbers, x, p, _of_features(x)) if train and p > 0 else x


def _with_alpha(numbers: Numbers, x: Tensor, p: float, shape: Sequence[int]) -> Tensor:
    """Zeros of SELU's kind, and mean and variance as they were."""
    if p == 1:
        return x * 0
    scale = 1 / float((ALPHA**2 * p + 1) * (1 - p)) ** 0.5
    kept = numbers.kept(shape, p, x.dtype)
    shifted: Tensor = x * (kept * scale) + (kept - 1) * (ALPHA * scale) + ALPHA * scale * p
    return shifted


def _written(answer: Answer) -> Answer:
    """The answer of a function that writes to its first argument."""

    def write(numbers: Numbers, x: Tensor, *args: Any, **options: Any) -> Any:
        made = answer(numbers, x, *args, **options)
        return made if made is NotImplemented or made is x else x.copy_(made)

    return write


def _functional_dropout(
    numbers: Numbers, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Any:
    return (_written(_dropout) if inplace else _dropout)(numbers, x, p, training)


def _attention(
    numbers: Numbers,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if dropout_p == 0:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if enable_gqa:
        return NotImplemented
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = torch.where(attn_mask, scores, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return numbers.dropout(scores.softmax(-1), dropout_p) @ value


def _shape(size: tuple[Any, ...], options: dict[str, Any]) -> Sequence[int]:
    if "size" in options:
        size = (options["size"],)
    return size[0] if len(size) == 1 and not isinstance(size[0], int) else size


def _ends(given: Sequence[int], options: dict[str, Any]) -> tuple[int, int]:
    """Where integers begin and end."""
    named = [options.pop(name) for name in ("low", "high") if name in options]
    ends = (*given, *named)
    return (ends[0], ends[1]) if len(ends) == 2 else (0, ends[0])


def _floating(x: Tensor) -> torch.dtype:
    """Of uniform numbers that are compared with chances."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _made(options: dict[str, Any], make: Callable[[torch.dtype], Tensor], like: Tensor | None = None) -> Any:
    """A tensor of the type and on the device that were asked for; nothing of what else may be asked for."""
    if any(options.get(name) is not None for name in ("generator", "out", "names")) or options.get("requires_grad"):
        return NotImplemented
    dtype = options.get("dtype") or (torch.get_default_dtype() if like is None else like.dtype)
    if dtype.is_complex:
        return NotImplemented
    device = options.get("device") or (torch.get_default_device() if like is None else like.device)
    return make(dtype).to(device)


ANSWERS: dict[Callable[..., Any], Answer] = {
    torch.rand: _rand,
    torch.randn: _randn,
    torch.rand_like: _rand_like,
    torch.randn_like: _randn_like,
    torch.randint: _randint,
    torch.randint_like: _randint_like,
    torch.randperm: _randperm,
    torch.normal: _normal,
    torch.bernoulli: _bernoulli,
    torch.multinomial: _multinomial,
    Tensor.bernoulli: _bernoulli,
    Tensor.multinomial: _multinomial,
    Tensor.uniform_: _in_place(_uniform_),
    Tensor.normal_: _in_place(lambda n, x, mean=0.0, std=1.0: mean + std * n.normal(x.shape, x.dtype)),
    Tensor.exponential_: _in_place(lambda n, x, lambd=1.0: n.exponential(x.shape, x.dtype) / lambd),
    Tensor.log_normal_: _in_place(lambda n, x, mean=1.0, std=2.0: (mean + std * n.normal(x.shape, x.dtype)).exp()),
    Tensor.random_: _in_place(_random_),
    Tensor.bernoulli_: _in_place(_bernoulli_),
    functional.dropout: _functional_dropout,
    torch.dropout: _dropout,
    torch.dropout_: _written(_dropout),
    torch.feature_dropout: _feature_dropout,
    torch.feature_dropout_: _written(_feature_dropout),
    torch.alpha_dropout: _alpha_dropout,
    torch.alpha_dropout_: _written(_alpha_dropout),
    torch.feature_alpha_dropout: _feature_alpha_dropout,
    torch.feature_alpha_dropout_: _written(_feature_alpha_dropout),
    torch.rrelu: _rrelu,
    torch.rrelu_: _written(_rrelu),
    functional.scaled_dot_product_attention: _attention,
}
"""What draws random numbers, and its answer."""
