"""What speaks for an answer."""

from dataclasses import dataclass

from gradstudy.study.worth.worth import CONFIDENT

ACCEPTABLE_UPPER_BOUND = 0.2
"""Of the divergence rate of fresh runs: what 18 of them without a divergence show."""


@dataclass(frozen=True, kw_only=True)
class RecommendedSetting:
    """What to use.

    Attributes:
        number: of a trial that had this setting; None where only a confirmation ran it.
        cell: such as lstm or gru.
        strategy: clipping strategy.
        threshold: in the strategy's unit; None where it has none.
        learning_rate: of the optimizer.
        factors: what else the study varies, in words.
    """

    number: int | None
    cell: str
    strategy: str
    threshold: float | None
    learning_rate: float
    factors: str


@dataclass(frozen=True, kw_only=True)
class FreshRuns:
    """Runs of one setting, made after it had been chosen.

    Attributes:
        runs: how many.
        diverged: how many of them diverged.
        rate_low: lower end of the 95% interval of their divergence rate, see
            ``gradstudy.study.answer.confidence_sequence``: it holds however often one looked.
        rate_high: upper end.
        loss: mean validation loss, for which a diverged run counts as untrained.
        spread: standard deviation of these losses; NaN of one run.
        learning_rate: at which they were made.
    """

    runs: int
    diverged: int
    rate_low: float
    rate_high: float
    loss: float
    spread: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The best setting of another cell, strategy or threshold.

    Attributes:
        setting: what it is.
        probability: that it is the better one.
        loss: its expected loss.
    """

    setting: RecommendedSetting
    probability: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a recommendation rests on.

    Attributes:
        steps: of each run: the horizon; None where it is not known.
        loss: J, the expected validation loss of a run, of which a diverged one counts as untrained.
        loss_low: lower end of its 95% interval.
        loss_high: upper end.
        risk: the probability that a run diverges.
        risk_low: lower end of its 95% interval.
        risk_high: upper end.
        safe: the probability that the risk is at most 10%.
        fresh: runs that were made to see what it is worth; None without any.
        beside: the same at other learning rates, the lowest first.
        usable_low: the lowest learning rate within 2% of the untrained loss of the best one, at an acceptable risk.
        usable_high: the highest one.
        untried_below: below this nothing was tried, and it is about as good itself; None where worse ones were.
        untried_above: above this, likewise.
        rival: which setting might be better.
        metrics: what the user's own function measured beside the loss: name, mean, and over how many runs of the
            setting, of the fresh ones where there are any. They decide nothing.
        cautions: sentences on what speaks against the setting.
    """

    steps: int | None
    loss: float
    loss_low: float
    loss_high: float
    risk: float
    risk_low: float
    risk_high: float
    safe: float
    fresh: FreshRuns | None
    beside: tuple[FreshRuns, ...]
    usable_low: float
    usable_high: float
    rival: Rival | None
    untried_below: float | None = None
    untried_above: float | None = None
    metrics: tuple[tuple[str, float, int], ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether fresh runs alone show that the risk is acceptable."""
        return self.fresh is not None and self.fresh.rate_high <= ACCEPTABLE_UPPER_BOUND

    @property
    def firm(self) -> bool:
        """Whether the answer is confirmed, and safe by all that is known."""
        return self.confirmed and self.safe >= CONFIDENT
