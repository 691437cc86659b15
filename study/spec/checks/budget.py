"""How many trials a study has and where they are placed: what fits together."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import ValidationError

from gradstudy.study.spec.axis import held
from gradstudy.study.spec.grid import grid_size, ranges
from gradstudy.study.spec.parts import SearchSpace
from gradstudy.study.wording import counted

PrunerName = Literal["none", "median", "hyperband"]
SamplerName = Literal["auto", "random", "qmc", "tpe", "frontier", "grid"]


def with_sampler(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's values, in which a grid has its sampler and as many trials as settings and seeds, unless given.

    A space of values is a grid where neither sampler nor trials are given. Where hyperparameters are searched, or
    widths are scaled from, of which each must be known, points are spread evenly unless a sampler is given.
    """
    sampler, trials = values.get("sampler"), values.get("trials")
    space = values.get("space")
    if sampler is None and isinstance(space, dict) and (space.get("hyperparameters") or space.get("scale_to")):
        return {**values, "sampler": "qmc"}
    if trials is not None or sampler not in (None, "grid"):
        return dict(values)
    with suppress(ValidationError, TypeError):  # what is wrong is said of its field
        size = grid_size(SearchSpace.model_validate(values.get("space", {})))
        seeds = values.get("seeds", 1)
        if size is not None and isinstance(seeds, int):
            return {**values, "sampler": "grid", "trials": size * seeds}
    return dict(values)


def check_sampler(sampler: SamplerName, pruner: PrunerName, space: SearchSpace, width: float | None) -> None:
    """Raise ValueError where a sampler does not fit what is searched, or how trials end."""
    if sampler == "frontier" and pruner != "none":
        raise ValueError(
            "pruner must be 'none' with sampler 'frontier', because a pruned run does not say whether it would "
            f"have diverged, but got {pruner!r}"
        )
    rate = held(space.learning_rate)
    if rate is not None and (sampler == "frontier" or width is not None):
        what = "sampler 'frontier'" if sampler == "frontier" else "frontier_width"
        raise ValueError(
            f"{what} is about the largest safe learning rate and needs several, such as --lr 0.01:100, but the "
            f"learning rate is held at {rate:g}"
        )
    found = ranges(space) if sampler == "grid" else []
    if found:
        raise ValueError(f"sampler 'grid' takes values instead of ranges, but {'; '.join(found)}")


def check_trials(trials: int, seeds: int, sampler: SamplerName, space: SearchSpace) -> None:
    """Raise ValueError unless every setting has all of its seeds, and a grid all of its settings."""
    if trials % seeds:
        raise ValueError(
            f"trials counts training runs and must be a multiple of seeds ({seeds}), such as {_near(trials, seeds)}, "
            f"but got {trials}"
        )
    size = grid_size(space) if sampler == "grid" else None
    if size is not None and trials % (size * seeds):
        runs = f" with {counted(seeds, 'seed')} each" if seeds > 1 else ""
        raise ValueError(
            f"trials must be a multiple of {size * seeds} with sampler 'grid', which runs {counted(size, 'setting')}"
            f"{runs}, such as {_near(trials, size * seeds)}, but got {trials}"
        )


def _near(trials: int, step: int) -> str:
    below = trials // step * step
    return f"{below} or {below + step}" if below else str(step)
