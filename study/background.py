"""A thread that works until the block it belongs to ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(
    name: str, run: Callable[[threading.Event], None], *, wake: Callable[[], None] | None = None
) -> Iterator[None]:
    """Run something in a thread; at the end of the block it is asked to stop and waited for.

    Args:
        name: of the thread.
        run: the work; it returns soon after the event that it is given is set.
        wake: called to wake the thread where it waits for something else than the event.
    """
    stop = threading.Event()
    thread = threading.Thread(target=run, args=[stop], name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        if wake:
            wake()
        thread.join()
