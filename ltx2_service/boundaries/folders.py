"""What can be told of a folder before it is used."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from ltx2_patcher.boundaries.disk import translated

_OF_NETWORKS = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs"}
    | {"lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
_MOUNTS = Path("/proc/self/mountinfo")


def require_writable(folder: Path) -> None:
    """Make the folder where it is lacking, and a file in it. Raises: OutsideError."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()


def network_file_system(folder: Path) -> str | None:
    """The kind of the network file system that the folder lies on, such as "nfs4"; None on a disk
    of this machine, and where that can't be told.
    """
    place = folder.resolve()
    kinds: dict[Path, str] = {}
    if _MOUNTS.exists():
        for line in _MOUNTS.read_text("utf-8", "surrogateescape").splitlines():
            # "36 35 98:0 /root /mount options... - kind source options" (proc(5))
            before, _, after = line.partition(" - ")
            mount = before.split()[4].encode().decode("unicode_escape")
            kinds[Path(mount)] = after.split()[0]
    kind = next((kinds[above] for above in (place, *place.parents) if above in kinds), None)
    return kind if kind in _OF_NETWORKS else None
