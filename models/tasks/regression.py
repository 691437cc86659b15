"""A noisy linear function with targets in the hundreds: the experiment on exploding gradients of tutorials."""

import numpy as np

from gradstudy.models.tasks.values import ValueSequences

INFORMATIVE = 10
"""Inputs that the target depends on, the others are noise."""

NOISE = 0.1
"""Standard deviation of what is added to the target."""


def load_regression(features: int, examples: int, standardize: bool, seed: int) -> ValueSequences:
    """Standard normal inputs, and a target that is a linear function of ten of them with weights from 0 to 100.

    The numbers are those of scikit-learn's ``make_regression(examples, features, noise=0.1, random_state=seed)``. The
    first half is to train on.
    """
    generator = np.random.RandomState(seed)  # as scikit-learn draws
    inputs = generator.standard_normal((examples, features))
    weights = 100 * generator.uniform(size=(min(features, INFORMATIVE), 1))
    target = inputs[:, :INFORMATIVE] @ weights
    target += generator.normal(scale=NOISE, size=target.shape)
    rows, columns = np.arange(examples), np.arange(features)
    generator.shuffle(rows)
    generator.shuffle(columns)
    inputs, target = inputs[rows][:, columns], target[rows]
    train = examples // 2
    if standardize:
        target = (target - target[:train].mean()) / target[:train].std()
    return ValueSequences(
        source=inputs.astype(np.float32),
        target=target.astype(np.float32),
        source_start=np.arange(examples),
        target_start=np.arange(examples),
        source_steps=1,
        target_steps=1,
        decoder=False,
        train=np.arange(train),
        validation=np.arange(train, examples),
        origin=f"{examples:,} rows of {features} inputs and a linear target, seed {seed}",
        details=f"standard deviation of the targets {target[:train].std():.3g}",
    )
