from pathlib import Path, PurePath

import pytest

from gradstudy.storage import network_filesystem
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NetworkFilesystemError
from gradstudy.storage.network_filesystem import NETWORK, filesystem_type

MOUNTINFO = r"""22 27 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
31 27 0:26 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
98 27 0:47 / /home rw,relatime shared:54 - nfs4 fileserver:/export/home rw,vers=4.2,rsize=1048576,proto=tcp,sec=sys
112 98 259:3 / /home/anna/scratch rw,noatime shared:61 - xfs /dev/nvme0n1p3 rw,attr2,inode64
120 27 0:51 / /mnt/my\040share rw,relatime - cifs //nas/share rw,vers=3.1.1,username=anna
131 27 0:58 / /lustre rw,flock shared:70 - lustre 10.0.0.1@tcp:/work rw,flock,user_xattr
140 27 0:60 / /mnt/remote rw,nosuid,nodev,relatime shared:75 master:3 - fuse.sshfs anna@login: rw,user_id=1000
150 27 259:5 / /data rw,relatime shared:80 - ext4 /dev/sdb1 rw
151 150 0:70 / /data rw,relatime shared:81 - nfs backup:/data rw,vers=3
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/anna/study.db", "nfs4"),
        ("/home/anna/scratch/study.db", "xfs"),
        ("/home/anna/scratchy/study.db", "nfs4"),
        ("/homeless/study.db", "ext4"),
        ("/mnt/my share/deep/study.db", "cifs"),
        ("/mnt/my", "ext4"),
        ("/lustre/study.db", "lustre"),
        ("/mnt/remote/study.db", "fuse.sshfs"),
        ("/data/study.db", "nfs"),
        ("/dev/shm/study.db", "tmpfs"),
        ("/study.db", "ext4"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str) -> None:
    assert filesystem_type(PurePath(path), MOUNTINFO) == kind


def test_disks_are_told_from_networks() -> None:
    kinds = [line.partition(" - ")[2].split()[0] for line in MOUNTINFO.splitlines()]
    assert {kind for kind in kinds if kind in NETWORK} == {"nfs", "nfs4", "cifs", "lustre", "fuse.sshfs"}


def test_without_mounts_nothing_is_known() -> None:
    assert filesystem_type(PurePath("/a"), "") is None


def test_a_database_is_not_made_on_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path, empty_sqlite_url: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"27 1 259:2 / / rw - ext4 /dev/sda1 rw\n98 27 0:47 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(network_filesystem, "MOUNTINFO", mounts)
    with pytest.raises(NetworkFilesystemError) as caught:
        Database.open(empty_sqlite_url, create=True)
    assert str(caught.value) == (
        f"{tmp_path}/new.db is on a network filesystem (nfs4), where SQLite loses data; use a file on a disk of this "
        "machine, or PostgreSQL for several machines: --storage postgresql://USER@HOST/DATABASE"
    )
    assert not (tmp_path / "new.db").exists()
    Database.open(f"sqlite:///{path}").close()  # a copy there may be read


def test_where_it_cannot_be_told_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_sqlite_url: str
) -> None:
    monkeypatch.setattr(network_filesystem, "MOUNTINFO", tmp_path / "none")
    Database.open(empty_sqlite_url, create=True).close()
