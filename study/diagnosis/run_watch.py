"""Watching one run of a log, record by record."""

import math
from collections.abc import Mapping
from dataclasses import replace

from gradstudy.study.diagnosis.attempt import Attempt
from gradstudy.study.diagnosis.baseline import baseline
from gradstudy.study.diagnosis.clock import Clock
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.diagnosis.series import Series, Spikes
from gradstudy.study.integrations.logs.columns import Columns, is_squared

BEFORE_JUDGING = 1000
"""Losses that are read before the first one is judged: they say how noisy a run is."""
ENOUGH_TO_JUDGE = 30
"""Losses that say how noisy a run is, where it goes back before there are more."""


class RunWatch:
    """What is known of a run so far; memory does not grow with its length."""

    def __init__(self, name: str, columns: Columns, untrained: float | None) -> None:
        """Begin.

        Args:
            name: of the run.
            columns: of its log.
            untrained: the loss of the untrained model, where the person knows it.
        """
        self.name = name
        self.columns = columns
        self.losses, self.norms, self.rates = Series(), Series(), Series()
        self.loss_spikes, self.norm_spikes = Spikes(), Spikes()
        self.ended_attempts: list[tuple[float, float]] = []
        self.validation_not_finite: float | None = None
        self._untrained = untrained
        self._clock = Clock(columns)
        self._waiting: list[tuple[float, float]] = []
        self._norms_waiting: list[tuple[float, float]] = []
        self._validation: list[float] = []
        self._attempt: Attempt | None = None
        self._last_step = 0.0

    @property
    def has_loss(self) -> bool:
        """Whether a record had one."""
        return bool(self._waiting) or self.losses.seen > 0

    def take(self, values: Mapping[str, float]) -> bool:
        """Take in a record; False where it is the first one of another run, which begins at the first step anew."""
        columns = self.columns
        loss = values.get(columns.loss)
        if loss is None:
            step = self._clock.at(values)
        else:
            step, event = self._clock.of_loss(values)
            if event == "anew" and len(self._waiting) + self.losses.seen > 1:
                return False
            if event == "back":
                self._go_back(step)
            self._take_loss(step, loss)
        if columns.norm is not None and (norm := values.get(columns.norm)) is not None:
            self.norms.add(step, norm)
            self.norm_spikes.add(step, norm)
            if self._attempt is None:
                self._norms_waiting.append((step, norm))
            else:
                self._attempt.take_norm(step, norm)
        if columns.rate is not None and (rate := values.get(columns.rate)) is not None and math.isfinite(rate):
            self.rates.add(step, rate)
        if columns.validation is not None and (validation := values.get(columns.validation)) is not None:
            if not math.isfinite(validation) and self.validation_not_finite is None:
                self.validation_not_finite = step
            self._validation = [
                self._validation[0] if self._validation else validation,
                min(self._validation[1], validation) if self._validation else validation,
                validation,
            ]
        return True

    def diagnosis(self) -> RunDiagnosis:
        """What is to be said of the run, of which everything was read."""
        attempt = self._begun()
        judged = attempt.judge(self._validation)
        is_lower = judged.final < attempt.base.untrained
        if judged.outcome == "stalled" and is_lower and self.losses.has_fallen():
            judged = replace(judged, outcome="trained")  # which noise hides from the smoothed loss alone
        return RunDiagnosis(
            name=self.name,
            columns=self.columns,
            judged=judged,
            base=attempt.base,
            losses=self.losses,
            norms=self.norms,
            rates=self.rates,
            loss_spikes=self.loss_spikes.found,
            norm_spikes=self.norm_spikes.found,
            skipped=attempt.skipped,
            zero_since=attempt.zero_since,
            norm_lost_since=attempt.lost_norm_step,
            beyond_and_back=attempt.beyond_and_back,
            ended_attempts=tuple(self.ended_attempts),
            validation_not_finite=self.validation_not_finite,
            last_step=self._last_step,
        )

    def _take_loss(self, step: float, loss: float) -> None:
        self._last_step = step
        if self._attempt is not None:
            self._judge(self._attempt, step, loss)
            return
        self._waiting.append((step, loss))
        if len(self._waiting) >= BEFORE_JUDGING:
            self._begun()

    def _begun(self) -> Attempt:
        """The attempt, which begins when there are enough losses, or no more."""
        if self._attempt is not None:
            return self._attempt
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 2 and len({step for step, _ in waiting}) == 1:
            self._clock.count()
            waiting = [(float(place), loss) for place, (_, loss) in enumerate(waiting)]
        while len(waiting) > 1 and waiting[0][1] == 0:  # what a program shows before the first loss is known
            del waiting[0]
        finite = [loss for _, loss in waiting if math.isfinite(loss)]
        base = baseline(finite or [math.nan], squared=is_squared(self.columns.loss), untrained=self._untrained)
        self._attempt = attempt = Attempt(base, is_validation=self.columns.is_validation)
        for step, loss in waiting:
            self._judge(attempt, step, loss)
        for step, norm in self._norms_waiting:
            attempt.take_norm(step, norm)
        self._norms_waiting.clear()
        return attempt

    def _judge(self, attempt: Attempt, step: float, loss: float) -> None:
        attempt.take_loss(step, loss)
        self.losses.add(step, loss)
        self.loss_spikes.add(step, loss)

    def _go_back(self, step: float) -> None:
        """A run that goes back after it diverged is another attempt, which begins where the first one did."""
        if self._attempt is None and len(self._waiting) < ENOUGH_TO_JUDGE and math.isfinite(self._waiting[-1][1]):
            return  # such as rows of several processes, a step apart
        attempt = self._begun()
        judged = attempt.judge()
        if judged.outcome in ("diverged", "failed") and judged.first_bad is not None:
            self.ended_attempts.append((judged.first_bad, step))
            self._attempt = Attempt(attempt.base, is_validation=self.columns.is_validation)
