"""What is told of a folder before the service uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries import folders
from ltx2_service.boundaries.folders import network_file_system, require_writable

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:42 / {mount} rw,relatime shared:2 - nfs4 server:/share rw,vers=4.2
"""


def test_a_folder_is_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError):
        require_writable(tmp_path / "file/below")


def test_a_network_is_told_from_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path.resolve() / "a share"
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(mount=str(share).replace(" ", "\\040")))
    monkeypatch.setattr(folders, "_MOUNTS", table)
    assert network_file_system(share / "state") == "nfs4"
    assert network_file_system(tmp_path) is None
    monkeypatch.setattr(folders, "_MOUNTS", tmp_path / "none")
    assert network_file_system(share) is None
