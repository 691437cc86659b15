"""Seeds that follow from other seeds."""

import numpy as np

CONFIRMING = 0x636F6E66
PROBING = 0x70726F62
RESCUING = 0x72657363
EXTENDING = 0x65787465
"""What is mixed into a study's seed for runs that are not of its budget."""


def trial_seed(study_seed: int, ordinal: int) -> int:
    """The seed of a trial: a function of the study's seed and the trial's place in the budget."""
    return int(np.random.SeedSequence([study_seed, ordinal]).generate_state(1)[0])


def derived_seed(study_seed: int, purpose: int) -> int:
    """The seed of a study that belongs to another one: their trials share no seed, but for a chance of 1 in 2**32."""
    return int(np.random.SeedSequence([study_seed, purpose, purpose]).generate_state(1)[0] >> 1)
