"""A disk that takes no more, as a limit on file sizes makes it for anybody: a sentence, no rest."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import OutsideError
from tests.conftest import BASE, ROOT, files, world
from tests.small_upstream import MODULE, SmallUpstream
from tests.small_upstream import commit as commit_to
from tests.small_wheels import tiny

REMEDIES = ("free some space", "ulimit -f")


def limited(most: int, words: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line where no file may have more than `most` bytes."""
    return subprocess.run(
        [sys.executable, "-B", "-m", "ltx2_patcher", *map(str, words)],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        capture_output=True,
        text=True,
        check=False,
    )


def require_told(done: subprocess.CompletedProcess[str]) -> None:
    """One sentence, and a remedy that gives room."""
    remedy = done.stderr.partition("  to do: ")[2]
    assert done.returncode == OutsideError.exit_code, done.stderr
    assert any(words in remedy for words in REMEDIES), done.stderr
    assert "Traceback" not in done.stderr
    assert "another name" not in remedy and "writable" not in remedy and "network" not in remedy


def rest(place: Path) -> list[Path]:
    """Files that only a cut-off step leaves."""
    found = [path for path in place.rglob("*") if path.suffix == ".lock" or "tmp_" in path.name]
    return found + list(place.rglob(".*.ltx2-patcher")) + list(place.rglob("fast_import_crash*"))


@pytest.mark.parametrize("most", [0, 40, 500, 100_000])
def test_apply_changes_no_file_and_goes_on(store: Store, base: Base, tree: Path, most: int) -> None:
    before = files(tree)
    require_told(limited(most, ["apply", "--tree", tree], ROOT))
    assert files(tree) == before and rest(tree) == []
    assert world(tree)["head"] == "ref: refs/heads/work\n"
    assert apply_tree(store, base, tree).action == "applied"


@pytest.mark.parametrize("most", [0, 100])
def test_export_leaves_patches_as_they_are(small: SmallUpstream, tmp_path: Path, most: int) -> None:
    root = small.store.root
    shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher")
    tree = tmp_path / "tree"
    text = (tree / MODULE).read_text() + "# more\n"
    commit_to(tree, {MODULE: text}, (tree / ".git/COMMIT_EDITMSG").read_text().replace("two", "3"))
    before = files(root / "patches")
    require_told(limited(most, ["export", "--base", "small", "--tree", tree], root))
    assert files(root / "patches") == before and rest(root) == []


def test_a_mailbox_is_whole_or_not_there(tmp_path: Path) -> None:
    require_told(limited(1000, ["export", "--mbox", tmp_path / "x.mbox"], ROOT))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [0, 200, 250, 300, 400])
def test_obtaining_leaves_nothing(small: SmallUpstream, most: int) -> None:
    """Some of these end where the url is written down, by how long that is."""
    root = small.store.root
    shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher")
    before = sorted((root / "vendor").iterdir())
    require_told(limited(most, ["apply", "--base", "small", "--source", "git"], root))
    assert sorted((root / "vendor").iterdir()) == before


@pytest.mark.parametrize("most", [0, 20_000])
def test_installing_leaves_no_half_environment(
    copied_store: Store, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    for name, value in tiny(base, tmp_path / "wheels").items():
        monkeypatch.setenv(name, value)
    for name in ("ltx-core", "ltx-pipelines"):
        (copied_store.vendor / f"LTX-2-{BASE}/packages/{name}/src").mkdir(parents=True)
    shutil.copytree(ROOT / "ltx2_patcher", copied_store.root / "ltx2_patcher")
    require_told(limited(most, ["install"], copied_store.root))
    assert not environment_path(copied_store, base).exists()
