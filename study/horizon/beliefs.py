"""What is believed of longer training before a study saw any; ``tests/benchmarks/horizon.py`` fits it to real runs."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """Of the logarithms of losses over that of the steps; standard deviations but for the first two and the last four.

    Attributes:
        slope: expected, for each unit of length, at the learning rate that is best in short runs.
        tilt: how much less steep it is for each decade of learning rate above that.
        level, level_cell, level_group, level_rate, level_own: of heights: of all, of a cell, of a group, by learning
            rate, of a setting.
        slope_sd, slope_cell, slope_group, slope_rate, slope_own: the same of slopes.
        walk_cell, walk, walk_own: of a step of one unit away from the line: of a cell, by learning rate, of a setting.
        noise: of one run at the best learning rate of the short ones.
        noise_length, noise_rate: how much its logarithm grows with a unit of length, and with a decade above that rate.
        decades: of learning rate within which settings of a group are alike.
        across: the part of it that does not depend on the group, at the same distance from its best rate; the variance
            of the other part is ``1 - across`` of the whole.
    """

    slope: float = -0.31
    tilt: float = 0.36
    level: float = 0.21
    level_cell: float = 0.063
    level_group: float = 0.041
    level_rate: float = 0.26
    level_own: float = 0.013
    slope_sd: float = 0.2
    slope_cell: float = 0.146
    slope_group: float = 0.029
    slope_rate: float = 0.18
    slope_own: float = 0.019
    walk_cell: float = 0.13
    walk: float = 0.097
    walk_own: float = 0.023
    noise: float = 0.048
    noise_length: float = 0.48
    noise_rate: float = 0.63
    decades: float = 0.65
    across: float = 0.75


@dataclass(frozen=True, kw_only=True)
class RiskPrior:
    """Of the frontier and of runs that were kept.

    Attributes:
        shift, shift_sd: decades that the frontier moves up in one unit of length, and how well that is known.
        failures, units: late failures that the prior counts for, and units of length of kept runs.
    """

    shift: float = 0.0
    shift_sd: float = 0.09
    failures: float = 0.32
    units: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Beliefs:
    """All of it."""

    curves: CurvePrior = field(default_factory=CurvePrior)
    risk: RiskPrior = field(default_factory=RiskPrior)
