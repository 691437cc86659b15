"""A setting that a person chose, as text gives it: cell, strategy, threshold, learning rate, factors."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradstudy.models.strategies import STRATEGIES
from gradstudy.storage.queue import SettingRow
from gradstudy.study.errors import SpecError
from gradstudy.study.spec.axis import Range, ValueList, described, ends, held, listed
from gradstudy.study.spec.factors import described as factors_in_words
from gradstudy.study.spec.factors import shown
from gradstudy.study.spec.study_spec import StudySpec


def chosen_setting(given: Mapping[str, str], spec: StudySpec) -> SettingRow:
    """The setting of a study that these values make; what the study holds need not be given.

    Raises:
        SpecError: something is missing, unknown, or not in the space that the study searches; or the study is a grid,
            which runs every setting.
    """
    if spec.sampler == "grid":
        raise SpecError("a grid runs every setting of its space: more runs of each come with more seeds")
    space = spec.space
    accepted = ["cell", "strategy", "threshold", "learning_rate", *space.factors, *space.hyperparameters]
    for name in given:
        if name not in accepted:
            raise SpecError(f"a setting of this study has no {name!r}; it has {', '.join(accepted)}")
    strategy = _choice("strategy", given, space.strategies)
    axis = space.threshold_axis(strategy)
    if axis is None and "threshold" in given:
        raise SpecError(f"strategy {strategy!r} takes no threshold, but got {given['threshold']}")
    return SettingRow(
        cell=_choice("cell", given, space.cells),
        strategy=strategy,
        threshold=None if axis is None else _number("threshold", given, axis, f" ({STRATEGIES[strategy].unit})"),
        learning_rate=_number("learning_rate", given, space.learning_rate),
        factors={
            **{name: _choice(name, given, values) for name, values in space.factors.items()},
            **{name: _number(name, given, ends) for name, ends in space.hyperparameters.items()},
        },
    )


def setting_in_words(setting: SettingRow) -> str:
    """A setting as a sentence has it: ``LSTM, norm at 1, learning rate 0.5``."""
    threshold = "" if setting.threshold is None else f" at {setting.threshold:g}"
    words = f"{setting.cell.upper()}, {setting.strategy}{threshold}, learning rate {setting.learning_rate:g}"
    return ", ".join(part for part in (words, factors_in_words(setting.factors)) if part)


def _choice(name: str, given: Mapping[str, str], values: Sequence[Any]) -> Any:
    """One of the values that a study has."""
    names = ", ".join(map(shown, values))
    if name not in given:
        if len(values) > 1:
            raise SpecError(f"a chosen setting needs {name}, because the study searches {names}")
        return values[0]
    for value in values:
        if given[name] == shown(value) or _is_equal(given[name], value):
            return value
    raise SpecError(f"{name} of a chosen setting must be one that the study searches, {names}, but got {given[name]!r}")


def _is_equal(text: str, value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(text) == value
    except ValueError:
        return False


def _number(name: str, given: Mapping[str, str], axis: Range | ValueList, unit: str = "") -> float:
    """A number of an axis."""
    value = held(axis)
    if name not in given:
        if value is None:
            raise SpecError(f"a chosen setting needs {name}{unit}, because the study searches {described(axis)}")
        return value
    low, high = ends(axis)
    try:
        number = float(given[name])
    except ValueError:
        number = -1.0
    values = listed(axis)
    if not low <= number <= high or (values is not None and number not in values):
        raise SpecError(
            f"{name} of a chosen setting must be one that the study searches, {described(axis)}, but got "
            f"{given[name]!r}"
        )
    return number
