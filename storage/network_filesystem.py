"""Telling a network filesystem, where SQLite's write-ahead log does not work.

Its readers and writers share memory, which machines cannot (https://sqlite.org/wal.html), and its locks are often not
kept there either.
"""

import re
from pathlib import Path, PurePath

from gradstudy.storage.errors import NetworkFilesystemError

MOUNTINFO = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.beegfs", "fuse.ceph", "fuse.davfs2",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "pvfs2", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip
"""The types that /proc/filesystems and FUSE give to filesystems that other machines can mount too."""


def refuse_network_filesystem(path: Path) -> None:
    """Refuse a file that several machines may reach; where this cannot be told, nothing is refused.

    Raises:
        NetworkFilesystemError: the sentence says what to use.
    """
    try:
        kind = filesystem_type(path.absolute().resolve(), MOUNTINFO.read_text())
    except OSError:
        return
    if kind in NETWORK:
        raise NetworkFilesystemError(
            f"{path} is on a network filesystem ({kind}), where SQLite loses data; use a file on a disk of this "
            "machine, or PostgreSQL for several machines: --storage postgresql://USER@HOST/DATABASE"
        )


def filesystem_type(path: PurePath, mountinfo: str) -> str | None:
    """The type of the filesystem that a path is on, by the text of ``/proc/self/mountinfo`` (see proc(5)).

    Args:
        path: absolute and without links.
        mountinfo: one mount a line; of two at one place the later one is seen.
    """
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        point = PurePath(_decoded(mount.split()[4]))
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = (len(point.parts), filesystem.split()[0])
    return found[1] if found else None


def _decoded(field: str) -> str:
    """Blanks and the like are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
