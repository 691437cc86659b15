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

    slope: float = -0.28
    tilt: float = 0.35
    level: float = 0.19
    level_cell: float = 0.059
    level_group: float = 0.04
    level_rate: float = 0.26
    level_own: float = 0.013
    slope_sd: float = 0.187
    slope_cell: float = 0.127
    slope_group: float = 0.029
    slope_rate: float = 0.185
    slope_own: float = 0.017
    walk_cell: float = 0.128
    walk: float = 0.108
    walk_own: float = 0.028
    noise: float = 0.049
    noise_length: float = 0.44
    noise_rate: float = 0.64
    decades: float = 0.65
    across: float = 0.74


@dataclass(frozen=True, kw_only=True)
class HazardPrior:
    """Of runs that were kept and fail later by one cause.

    Attributes:
        failures, units: half a decade below the frontier, that the prior counts for, and units of length of kept runs.
        rise, rise_sd: of the logarithm of the hazard for each decade of learning rate, and how well that is known.
    """

    failures: float
    units: float
    rise: float
    rise_sd: float


@dataclass(frozen=True, kw_only=True)
class RiskPrior:
    """Of the frontier, of runs that were kept, and of what they diverge by.

    Attributes:
        shift, shift_sd: decades that the frontier moves up in one unit of length, and how well that is known.
        hazards: of runs that were kept and blow up, or collapse.
        shares: runs that the prior counts for, of each band of distance from the frontier and of each cause.
    """

    shift: float = 0.0
    shift_sd: float = 0.097
    hazards: tuple[HazardPrior, HazardPrior] = (
        HazardPrior(failures=0.11, units=1020.0, rise=6.0, rise_sd=4.0),
        HazardPrior(failures=0.54, units=2020.0, rise=7.6, rise_sd=4.0),
    )
    shares: tuple[tuple[float, float, float], ...] = ((0.2, 0.2, 0.2), (1.7, 8.2, 31.2), (1.2, 0.2, 3.2))


@dataclass(frozen=True, kw_only=True)
class Beliefs:
    """All of it."""

    curves: CurvePrior = field(default_factory=CurvePrior)
    risk: RiskPrior = field(default_factory=RiskPrior)
