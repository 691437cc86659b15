"""The global random numbers of torch, numpy and Python, as one trial sees them."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

DRAWS = "it draws random numbers, which must not depend on what is trained beside it"


class RandomState:
    """Global generators of a trial's own: what it draws does not depend on other trials and does not disturb them."""

    def __init__(self, seed: int, device: torch.device) -> None:
        """Seed every generator with ``seed``, for a trial that computes on ``device``."""
        self._device = device
        before = _read(device)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (what the user's code may draw from)
        random.seed(seed)
        self._state = _read(device)
        _write(before, device)

    @contextmanager
    def inside(self, *, advance: bool = True) -> Iterator[None]:
        """Draw from the trial's generators; without ``advance``, as if nothing had been drawn."""
        before = _read(self._device)
        _write(self._state, self._device)
        try:
            yield
        finally:
            if advance:
                self._state = _read(self._device)
            _write(before, self._device)


class RandomNumbersError(RuntimeError):
    """Random numbers were drawn where there is no telling whose they are."""


@contextmanager
def no_random_numbers() -> Iterator[None]:
    """Raise RandomNumbersError when numpy's or Python's global generator is drawn from; it is as before then."""
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    drawn = pickle.dumps(np.random.get_state()) != pickle.dumps(of_numpy)  # noqa: NPY002
    if drawn or random.getstate() != of_python:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        raise RandomNumbersError(DRAWS)


def _read(device: torch.device) -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()  # noqa: NPY002


def _write(state: tuple[Any, ...], device: torch.device) -> None:
    cpu, cuda, of_numpy, of_python = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)
    np.random.set_state(of_numpy)  # noqa: NPY002
    random.setstate(of_python)
