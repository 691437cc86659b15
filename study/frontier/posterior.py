"""What is known about the frontiers of a study while it is searched, and where a run would tell more."""

import numpy as np

from gradstudy.study.frontier.fit import fit_frontiers, information, inverse
from gradstudy.study.frontier.likelihood import Floats, risk
from gradstudy.study.frontier.places import Ints, Places, Runs
from gradstudy.study.frontier.prior import Readings, priors

MISFIT_VARIANCE = 0.03**2
"""Of a crossing, in decades squared, because no real risk is a logistic curve: no number of runs gets below it."""


class FrontierModel:
    """The posterior of the frontier of each target, see ``gradstudy.study.frontier.fit``.

    Attributes:
        fits: one for each usual slope and rise that was compared.
        weights: [fits] of these, by their evidence.
        best: the fit with the highest evidence.
        crossing: [targets] decades from the middle at which the log odds pass the frontier's level, expected over the
            usual slopes and rises compared.
        sd: [targets] standard deviation of the crossing, in decades.
        trust: the probability that another study's readings tell of this one; 0 without any.
    """

    def __init__(
        self, places: Places, runs: Runs, margins: Floats, pending: Runs, readings: Readings | None = None
    ) -> None:
        """Fit.

        Args:
            places: the targets.
            runs: that have ended.
            margins: [n] of these: above 0 where a run diverged.
            pending: runs that are under way. They narrow the posterior as their outcomes will on average, and do not
                move it (as in GP-BUCB: Desautels et al. 2014).
            readings: of another study, see ``prior.py``.
        """
        targets = len(places.factors)
        fits = fit_frontiers(runs, margins, priors(places, readings))
        self.fits = fits
        self.best = best = max(fits, key=lambda fit: fit.evidence)
        likely = np.exp([fit.evidence - best.evidence for fit in fits])
        self.weights = likely / likely.sum()
        crossings = np.array([fit.crossing for fit in fits])
        self.crossing = self.weights @ crossings
        self.trust = float(sum(weight for weight, fit in zip(self.weights, fits, strict=True) if fit.prior))
        disagreement = self.weights @ (crossings - self.crossing) ** 2
        self._covariance = inverse(best.precision)
        if len(pending.target):
            mean = best.height[pending.target] + best.slope[pending.target] * pending.decades
            variance = _along(blocks(self._covariance, pending.target), pending.decades, pending.decades)
            expected = _expected_information(mean, variance)
            self._covariance = inverse(best.precision + information(pending, expected, targets))
        within = _along(blocks(self._covariance, np.arange(targets)), self.crossing, self.crossing) / best.slope**2
        self.sd = np.sqrt(within + disagreement + MISFIT_VARIANCE)

    def gains(self, decades: Floats, importance: Floats) -> Floats:
        """How much a run is expected to reduce the variance of the crossings, of all targets together.

        A run at one threshold tells about those beside it, and one of a cell about the other (looking ahead globally:
        Letham et al. 2022).

        Args:
            decades: [targets, n] learning rates of such runs, of each target.
            importance: [targets] of each crossing's variance.

        Returns:
            Decades squared, [targets, n].
        """
        targets = len(decades)
        rows = np.repeat(np.arange(targets)[:, None], decades.shape[1], 1)
        mean = self.best.height[:, None] + self.best.slope[:, None] * decades
        variance = _along(blocks(self._covariance, rows.ravel()), decades.ravel(), decades.ravel())
        noise = 1 / _expected_information(mean.ravel(), variance)
        crossing = self._covariance[:targets] + self.crossing[:, None] * self._covariance[targets:]
        weight = importance / self.best.slope**2
        height, slope = crossing[:, :targets], crossing[:, targets:]
        # The squared covariances of a run's log odds with those at the crossings, summed: quadratic in its decade.
        shared = (
            (weight @ height**2)[:, None]
            + 2 * (weight @ (height * slope))[:, None] * decades
            + (weight @ slope**2)[:, None] * decades**2
        )
        return np.asarray(shared / (variance + noise).reshape(decades.shape))


def blocks(covariance: Floats, target: Ints) -> Floats:
    """The covariance [n, 2, 2] of height and slope of each target [n]."""
    both = np.stack([target, target + len(covariance) // 2], 1)
    return np.asarray(covariance[both[:, :, None], both[:, None, :]])


def _along(blocks: Floats, left: Floats, right: Floats) -> Floats:
    """The covariances [n] of log odds at pairs of decades."""
    return np.asarray(
        blocks[:, 0, 0] + blocks[:, 0, 1] * right + blocks[:, 1, 0] * left + blocks[:, 1, 1] * left * right
    )


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


def _expected_information(mean: Floats, variance: Floats) -> Floats:
    """Fisher's information [n] that a run has on its log odds, over their posterior."""
    lost, chain = risk(mean[:, None] + np.sqrt(np.maximum(variance, 0))[:, None] * _NODES)
    return np.asarray(np.maximum((chain**2 / (lost * (1 - lost))) @ _WEIGHTS / _WEIGHTS.sum(), 1e-8))
