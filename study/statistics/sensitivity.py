"""Learning-rate sensitivity: how much is lost by not knowing the best learning rate."""

import pandas as pd

from gradstudy.study.statistics.grouping import group_keys, in_words, setting_of
from gradstudy.study.statistics.rates import judged


def learning_rate_sensitivity(trials: pd.DataFrame) -> pd.DataFrame:
    """The sensitivity of each cell and strategy, and of each value of the factors that are varied.

    It is the mean over the range of learning rates of min(loss, loss at initialisation), less the best loss; 0 is a
    loss that no learning rate spoils. The mean is over half-decades, each the mean of its settings, so that it does not
    matter where a sampler put most of them; thresholds are averaged over, and so are the runs of a setting.

    Source: Wortsman et al. 2023, arXiv 2309.14322, section 2.2, on the validation loss.

    Args:
        trials: rows of ``trial_result``; ``objective`` is min(validation loss, that of the untrained model).

    Returns:
        ``cell``, ``strategy``, ``factors`` in words where any are varied, ``sensitivity``, and
        ``half_decades``, over how many it was averaged.
    """
    runs = in_words(judged(trials).dropna(subset=["objective"]))
    keys = group_keys(runs)
    setting = [*keys, "learning_rate_bin", "setting"]
    settings = runs.assign(setting=setting_of(runs)).groupby(setting, as_index=False)["objective"].mean()
    bins = settings.groupby([*keys, "learning_rate_bin"], as_index=False)["objective"].agg(["mean", "min"])
    table: pd.DataFrame = bins.groupby(keys, as_index=False).agg(
        mean=("mean", "mean"), best=("min", "min"), half_decades=("mean", "size")
    )
    table["sensitivity"] = table["mean"] - table["best"]
    return table[[*keys, "sensitivity", "half_decades"]]
