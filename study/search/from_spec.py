"""The sampler that a spec names."""

import optuna
from optuna.samplers import BaseSampler

from gradstudy.study.search.points import GridSampler, RandomSampler, SobolSampler
from gradstudy.study.spec.optimizer.searched import parameter
from gradstudy.study.spec.study_spec import StudySpec

TPE_STARTUP_SETTINGS = 10
"""Settings that TPE draws at random before it looks at results: Optuna's default."""


def make_sampler(spec: StudySpec, worker: int = 0) -> BaseSampler:
    """The spec's sampler; the workers of a study, each with its own number, draw different random numbers."""
    searched = [parameter(name) for name in spec.space.hyperparameters]
    match spec.sampler:
        case "auto":
            from gradstudy.study.search.auto_sampler import AutoSampler

            return AutoSampler(spec, worker)
        case "random":
            return RandomSampler(spec.seed, [*searched, *spec.space.factors])
        case "qmc":
            sizes = {name: len(values) for name, values in spec.space.factors.items()}
            return SobolSampler(spec.seed, sizes, spec.trials // spec.seeds, searched)
        case "grid":
            return GridSampler(spec)
        case "tpe":
            # Optuna counts trials; what TPE begins with is so many settings.
            startup = TPE_STARTUP_SETTINGS * spec.seeds
            return optuna.samplers.TPESampler(seed=spec.seed + worker, n_startup_trials=startup)
        case "frontier":
            from gradstudy.study.search.frontier_sampler import FrontierSampler  # scipy.stats, which the others lack

            return FrontierSampler(spec.seed, like=spec.like)
