"""A threshold for each strategy that clips some of the gradients of the small models of the tests, but not all."""

from gradstudy.models.strategies import STRATEGIES

THRESHOLDS = {
    "none": None,
    "norm": 0.5,
    "value": 0.05,
    "param_norm": 0.2,
    "normalize": 0.7,
    "standardize": None,
    "agc": 0.01,
    "autoclip": 30.0,
    "zclip": 0.8,
    "rms": 0.03,
    "spectral": 0.1,
    "adagc": 1.05,
    "spam_entry": 30.0,
    "stable_spam": None,
    "median_norm": 0.8,
    "skip_norm": 2.0,
    "skip_z": 1.5,
    "recurrent": 0.01,
    "recurrent_value": 1e-3,
}

AFTER_BACKWARD = [name for name, strategy in STRATEGIES.items() if not strategy.inside]
"""The strategies that are applied to gradients, once the backward pass is done."""
