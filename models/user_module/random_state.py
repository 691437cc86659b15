"""The global random numbers of torch, numpy and Python, as one trial sees them."""

import pickle
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

DRAWS = "it draws random numbers, which must not depend on what is trained beside it"


class RandomState:
    """Global generators of a trial's own: what it draws does not depend on other trials and does not disturb them.

    Attributes:
        state: of the generators, where they are not in place.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        """Seed every generator with ``seed``, for a trial that computes on ``device``."""
        self._device = device
        before = _read(device)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (what the user's code may draw from)
        random.seed(seed)
        self.state = _read(device)
        _write(before, device)

    @contextmanager
    def inside(self, *, advance: bool = True) -> Iterator[None]:
        """Draw from the trial's generators; without ``advance``, as if nothing had been drawn."""
        if advance and _Staying.allowed:
            self._take_over()
            yield
            return
        before = _read(self._device)
        if _Staying.holder is not self:
            _write(self.state, self._device)
        try:
            yield
        finally:
            if advance:
                self.state = _read(self._device)
            _write(before, self._device)

    def _take_over(self) -> None:
        if _Staying.holder is self:
            return
        if _Staying.holder is not None:
            _Staying.holder.keep()
        _write(self.state, self._device)
        _Staying.holder = self

    def keep(self) -> None:
        """Remember the state of the generators, which are in place."""
        self.state = _read(self._device)


class _Staying:
    """Which trial's generators are in place: they stay there until another's are needed, where that is allowed."""

    allowed = False
    holder: RandomState | None = None


@contextmanager
def staying(device: torch.device) -> Iterator[None]:
    """In which the generators of the trial that drew last stay in place, as changing them takes a quarter millisecond.

    At the end the global ones are as before. Nothing but trials may draw meanwhile.
    """
    before = _read(device)
    _Staying.allowed = True
    try:
        yield
    finally:
        if _Staying.holder is not None:
            _Staying.holder.keep()
        _Staying.allowed, _Staying.holder = False, None
        _write(before, device)


class RandomNumbersError(RuntimeError):
    """Random numbers were drawn where there is no telling whose they are."""


class Coins:
    """Draws of Python's and numpy's global generators, which decide what a forward pass does, as teacher forcing.

    One program cannot do one thing for one trial and another for the next: all trials of a study share those of a step.

    Attributes:
        drawn: whether a model was seen to draw any.
    """

    def __init__(self, study_seed: int) -> None:
        self.drawn = False
        self._seed = study_seed

    @contextmanager
    def of_step(self, step: int) -> Iterator[None]:
        """Draw those of a step; at the end the generators are as before."""
        before = _read_coins()
        own = random.Random(f"{self._seed} {step}")
        np.random.seed(own.getrandbits(32))  # noqa: NPY002
        random.seed(own.getrandbits(64))
        try:
            yield
        finally:
            _write_coins(before)

    @contextmanager
    def of_steps(self, steps: Sequence[int]) -> Iterator[None]:
        """Draw those of the step that all trials of a batch take.

        Raises:
            RandomNumbersError: there were draws, and the steps differ.
        """
        with self.of_step(steps[0]):
            before = pickle.dumps(_read_coins())
            yield
            if pickle.dumps(_read_coins()) != before:
                self.drawn = True
                if len(set(steps)) > 1:
                    raise RandomNumbersError("draws decide what it does, and trials are at different steps")


@contextmanager
def no_random_numbers() -> Iterator[None]:
    """Raise RandomNumbersError when numpy's or Python's global generator is drawn from; it is as before then."""
    before = _read_coins()
    kept = pickle.dumps(before)
    yield
    if pickle.dumps(_read_coins()) != kept:
        _write_coins(before)
        raise RandomNumbersError(DRAWS)


def _read_coins() -> tuple[Any, Any]:
    return np.random.get_state(), random.getstate()  # noqa: NPY002


def _write_coins(state: tuple[Any, Any]) -> None:
    of_numpy, of_python = state
    np.random.set_state(of_numpy)  # noqa: NPY002
    random.setstate(of_python)


def _read(device: torch.device) -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), cuda, _read_coins()


def _write(state: tuple[Any, ...], device: torch.device) -> None:
    cpu, cuda, coins = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)
    _write_coins(coins)
