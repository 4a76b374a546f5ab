"""Pictures of this machine that requests may name."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ltx2_service.boundaries.image_root import read_below
from ltx2_service.values.request_faults import BadPicture

MOST = 1000
_READS = 2000  # and more, up to 50 times as many, until both threads had their turn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c.png").write_bytes(b"inside")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/c.png").write_bytes(b"outside")
    return root


def test_a_file_below_is_read_by_either_name(root: Path) -> None:
    for asked in ("a/b/c.png", "./a//b/c.png", str(root / "a/b/c.png")):
        assert read_below(root, asked, MOST) == b"inside"


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert read_below(tmp_path / "link", "a/b/c.png", MOST) == b"inside"


def test_too_many_bytes_are_refused(root: Path) -> None:
    (root / "large").write_bytes(bytes(MOST + 1))
    (root / "just").write_bytes(bytes(MOST))
    assert len(read_below(root, "just", MOST)) == MOST
    with pytest.raises(BadPicture):
        read_below(root, "large", MOST)


def test_nobody_waits_for_a_pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(BadPicture):
        read_below(root, "pipe", MOST)


def test_a_link_that_is_swapped_in_is_never_followed(root: Path, tmp_path: Path) -> None:
    """Another process puts a link where a folder and a file were, again and again."""
    ends = threading.Event()
    folder, aside = root / "a/b", root / "a/aside"

    def swap() -> None:
        while not ends.is_set():
            folder.rename(aside)
            folder.symlink_to(tmp_path / "out")
            folder.unlink()
            aside.rename(folder)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen: set[bytes] = set()
    reads = 0
    try:
        while reads < _READS or (len(seen) < 2 and reads < 50 * _READS):
            reads += 1
            try:
                seen.add(read_below(root, "a/b/c.png", MOST))
            except BadPicture:
                seen.add(b"refused")
    finally:
        ends.set()
        swapping.join()
    assert seen == {b"inside", b"refused"}
