"""How kernels are compiled for the CPU."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """Compile without the interpreter's lock, and keep the result on disk for the next process.

    Products and sums are fused, and sums may be taken in another order, which is the same in every run.
    """
    flags = {"contract", "reassoc", "nsz"}
    return cast("Kernel", njit(kernel, nogil=True, cache=True, fastmath=flags, error_model="numpy"))
