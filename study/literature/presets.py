"""The literature's experiments by name: the spec of one, how much it can show, what its study showed."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from gradstudy.study.errors import SpecError
from gradstudy.study.literature.causes import CAUSES
from gradstudy.study.literature.expectations import Expectation
from gradstudy.study.literature.long_range import LONG_RANGE
from gradstudy.study.literature.preset import Preset
from gradstudy.study.literature.recipes import RECIPES
from gradstudy.study.literature.remedies import REMEDIES
from gradstudy.study.spec.study_spec import parse_spec

PRESETS: Mapping[str, Preset] = MappingProxyType({**CAUSES, **REMEDIES, **LONG_RANGE, **RECIPES})
"""Every preset by name."""


def preset_values(name: str, strategies: Sequence[str] | None = None) -> dict[str, Any]:
    """The values that the spec of a preset is made of; its study has the preset's name.

    Args:
        name: of the preset.
        strategies: that are searched instead of the preset's; thresholds of others are left out.

    Raises:
        SpecError: there is no such preset.
    """
    preset = PRESETS.get(str(name))
    if preset is None:
        raise SpecError(f"there is no preset {name!r}: choose from {', '.join(PRESETS)}")
    space = dict(preset.spec["space"])
    if strategies is not None:
        given = space.get("thresholds", {})
        space["thresholds"] = {of: bounds for of, bounds in given.items() if of in strategies}
    # Verdicts compare rates over whole ranges, which a sampler that looks for the best setting does not cover evenly.
    return {"name": name, "preset": name, "sampler": "qmc", **preset.spec, "space": space}


def planned(name: str) -> Iterator[tuple[Expectation, int, int]]:
    """Each expectation of a preset, with about how many settings its two groups will have."""
    spec = parse_spec(preset_values(name))
    settings = spec.trials // spec.seeds
    for expectation in PRESETS[name].expectations:
        yield expectation, expectation.first.size(spec.space, settings), expectation.second.size(spec.space, settings)


def verdicts(spec: Mapping[str, Any], trials: pd.DataFrame) -> list[str]:
    """One sentence for each expectation of the preset that a study is made from; none for other studies.

    Args:
        spec: of the study, as JSON holds it.
        trials: its rows of ``trial_result``.
    """
    preset = PRESETS.get(spec.get("preset") or "")
    return [expectation.verdict(trials) for expectation in preset.expectations] if preset else []
