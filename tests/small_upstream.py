"""A small upstream of one package and a series on it, for what the real history does not have.

Everything is real: a git repository whose branch main is the history, and patches that export
wrote. The revisions, by name, are those of `REVISIONS`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.export import export
from ltx2_patcher.jobs.series.history import history
from ltx2_patcher.values.base import Base
from tests.conftest import ROOT, git

SOURCE = "packages/ltx-core/src/ltx_core"
MODULE, OTHER, OVERLAY = f"{SOURCE}/encoder.py", f"{SOURCE}/tool.py", f"{SOURCE}/ours.py"

ENCODER = """\
def load(root):
    weights = read(root)
    return weights


def spacer_one():
    return 1


def spacer_two():
    return 2


def encode(text):
    return text
"""
TOOL = "def tool():\n    return 0\n\n\ndef spare():\n    return 1\n"

MORE = "def spacer_more():\n    pass\n"

LOADED = ENCODER.replace(
    "def load(root):\n    weights = read(root)\n",
    "def load(root, quantized=False):\n    weights = read(root, quantized)\n",
)
ENCODED = LOADED.replace("    return text\n", "    return text.strip()\n")
TOOLED = TOOL.replace("return 0", "return 2")

REVISIONS: dict[str, Mapping[str, str | None]] = {
    "readme only": {MODULE: None, OTHER: None},
    "base": {MODULE: ENCODER, OTHER: TOOL},
    "merges": {
        MODULE: ENCODER.replace("return 1\n", "return 1\n\n\ndef spacer_more():\n    pass\n")
    },
    "landed": {MODULE: ENCODER.replace("    return text\n", "    return text.strip()\n")},
    "lost symbol": {MODULE: ENCODER, OTHER: TOOL.replace("spare", "spared")},
    "does not parse": {OTHER: TOOL.replace("def spare():", "def spare(:")},
    "taken": {OTHER: TOOL, OVERLAY: "THEIRS = 1\n"},
    "breaks": {OVERLAY: None, MODULE: ENCODER.replace("read(root)", "read(root, strict=True)")},
    "moved": {MODULE: None, f"{SOURCE}/encoders.py": ENCODER},
}
"""Oldest first; each gives the files that it changes."""

MESSAGE = """\
{subject}

This stands in for a real patch of a real series and does a little that a test can look for.

It can go when the tests do.

Upstream-Status: Inappropriate (a test)
Group: {group}
"""


@dataclass(frozen=True)
class SmallUpstream:
    """The store of a series on a small upstream, and the upstream itself."""

    store: Store
    base: Base
    place: Path  # upstream's repository
    commits: dict[str, str]  # by the names of REVISIONS

    def publish(self, files: Mapping[str, str | None]) -> str:
        """Upstream goes on by one revision."""
        return commit(self.place, files, "Later")

    def clone(self, place: Path, revision: str) -> Path:
        """A user's clone at a revision."""
        git(place.parent, "clone", "-q", str(self.place), place.name)
        git(place, "checkout", "-q", "--detach", self.commits[revision])
        return place


def make_upstream(root: Path) -> SmallUpstream:
    """Upstream in `root`/upstream, the store in `root`/repository."""
    place = root / "upstream"
    git(root, "init", "-q", "-b", "main", str(place))
    (place / "README.md").write_text("Small\n")
    commits = {name: commit(place, files, name) for name, files in REVISIONS.items()}
    repository = root / "repository"
    (repository / "vendor").mkdir(parents=True)
    (repository / "vendor/upstream.toml").write_text(
        f'url = "{place}"\n{pin("small", commits["base"])}'
    )
    store = Store(repository)
    (repository / "patches/small").mkdir(parents=True)
    (repository / "patches/small/symbols.toml").write_text(
        f'[gemma-quant]\n"{MODULE}" = ["load(quantized)"]\n[portable]\n"{OTHER}" = ["spare"]\n'
    )
    base = store.base("small")
    tree = root / "tree"
    git(root, "clone", "-q", str(place), "tree")
    git(tree, "checkout", "-q", "--detach", base.commit)
    steps: tuple[tuple[str, str, Mapping[str, str | None]], ...] = (
        ("Load quantized", "gemma-quant", {MODULE: LOADED, OVERLAY: "OURS = 1\n"}),
        ("Strip the text", "ampere", {MODULE: ENCODED}),
        ("Count to two", "portable", {OTHER: TOOLED}),
    )
    for subject, group, files in steps:
        commit(tree, files, MESSAGE.format(subject=subject, group=group))
    export(store, base, tree)
    history(store)
    return SmallUpstream(store, base, place, commits)


def copy_of(made: SmallUpstream, root: Path) -> SmallUpstream:
    """The same below `root`: some fifty calls of git make one."""
    before = made.place.parent
    shutil.copytree(before, root, symlinks=True, dirs_exist_ok=True)
    for name in ("repository/vendor/upstream.toml", "tree/.git/config"):
        file = root / name
        file.write_text(file.read_text().replace(str(before), str(root)))
    store = Store(root / "repository")
    return SmallUpstream(store, store.base("small"), root / "upstream", made.commits)


def pin(name: str, commit: str) -> str:
    """A base, as vendor/upstream.toml has it."""
    return f'\n[bases.{name}]\ncommit = "{commit}"\ndate = "2026-01-01"\nloads = ["LTX-2 19B"]\n'


def commit(place: Path, files: Mapping[str, str | None], message: str) -> str:
    """Write the files (None: remove) and commit all."""
    for path, text in files.items():
        target = place / path
        if text is None:
            target.unlink(missing_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    git(place, "add", "-A")
    subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-F", "-"],
        cwd=place,
        check=True,
        input=message,
        text=True,
    )
    return git(place, "rev-parse", "HEAD")


def patcher(small: SmallUpstream, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line beside the small series."""
    root = small.store.patches.parent
    if not (root / "ltx2_patcher").exists():
        shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher")
    return subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", *map(str, arguments)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
