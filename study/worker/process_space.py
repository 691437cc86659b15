"""Where the number of a process means that process: containers of one host name count theirs each for itself."""

import os
import socket
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Linux draws it anew each time that the machine starts."""
NAMESPACE = Path("/proc/self/ns/pid")
"""Its inode is a number of the PID namespace, one at a time for a running kernel."""


@cache
def process_space() -> str | None:
    """The same text for all processes that can see each other by number, 64 characters at most; None when unknown.

    Without PID namespaces, as on macOS, it is the machine.
    """
    if not sys.platform.startswith("linux"):
        return sha256(socket.gethostname().encode()).hexdigest()[:32]
    try:
        return sha256(f"{BOOT.read_text()}{NAMESPACE.stat().st_ino}".encode()).hexdigest()[:32]
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """Whether a process of this space runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
