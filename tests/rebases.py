"""A repository of its own to rebase in, and a person who settles what a rebase stops at."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ltx2_patcher.boundaries import journal
from ltx2_patcher.boundaries.objects import NewCommit, Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.rebase.report import SYMBOLS, RebaseStatus
from ltx2_patcher.jobs.series.rebase.steps import proceed, skip
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.rebasing import StopReason
from tests.conftest import BASE, ROOT, files, git

BEFORE = "9e8a28e17ac4dd9e49695223d50753a1ebda36fe"
"""The revision before 1.0.0, on which its series fits as it is."""

AFTER = "59ca828d5ae24358832ffd7003c2306fbceeba3a"
"""The revision after it, in which model_ledger.py is gone."""

LEDGER = "packages/ltx-pipelines/src/ltx_pipelines/utils/model_ledger.py"
HELPERS = "packages/ltx-pipelines/src/ltx_pipelines/utils/helpers.py"
ARGS = "packages/ltx-pipelines/src/ltx_pipelines/utils/args.py"
IC_LORA = "packages/ltx-pipelines/src/ltx_pipelines/ic_lora.py"

_CLASH = re.compile(rb"<{7} [^\n]*\n(.*?)\|{7} [^\n]*\n(.*?)={7}\n(.*?)>{7} [^\n]*\n", re.DOTALL)


def make_place(root: Path, history: Objects, *bases: str) -> Store:
    """The tool, these bases (none: 1.0.0), and upstream's history, as a maintainer has them."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher", ignore=ignored)
    shutil.copytree(ROOT / "tests/jobs", root / "tests/jobs", ignore=ignored)
    # The history itself answers as upstream: no test of these waits for a network.
    copy_bases(root, bases or (BASE,), url=str(history.place))
    shutil.copytree(history.place, root / "vendor/upstream.git")
    return Store(root)


def copy_bases(root: Path, bases: Sequence[str], *, url: str) -> None:
    """Their series and pins, below `root`: each verb of a maintainer reads all bases there are."""
    for name in (*bases, "overlay"):
        shutil.copytree(ROOT / "patches" / name, root / "patches" / name)
    shutil.copy(ROOT / "patches/overlay.lock.json", root / "patches")
    for base in bases:
        for place in (root / "patches" / base / "series").read_text().split():
            if place.startswith("shared/"):
                (root / "patches" / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / "patches" / place, root / "patches" / place)
    (root / "vendor").mkdir()
    pins = re.sub("^url = .*$", f'url = "{url}"', pins_of(bases), flags=re.MULTILINE)
    (root / "vendor/upstream.toml").write_text(pins)


def pins_of(bases: Sequence[str]) -> str:
    """vendor/upstream.toml without the other bases."""
    text = (ROOT / "vendor/upstream.toml").read_text()
    head, *parts = re.split(r'^(?=\[bases\."[^".]*(?:\.[^".]*)*"\]$)', text, flags=re.MULTILINE)
    starts = tuple(f'[bases."{base}"]' for base in bases)
    return head + "".join(part for part in parts if part.startswith(starts))


def repository(place: Store) -> Objects:
    """Upstream's history there."""
    return Objects(place.vendor / "upstream.git")


def imitation(place: Store, files: dict[str, bytes | None]) -> str:
    """A revision after 1.0.0 that upstream's history lacks."""
    history, base = repository(place), place.base(BASE)
    date = "Mon, 06 Apr 2026 12:00:00 +0000"
    commit = NewCommit(b"An imitated revision\n", "A <a@example.invalid>", date, files)
    (made,) = history.build(base.commit, [commit])
    history.move_ref("refs/heads/imitation", made, expect="0" * 40)
    return made


def settle(place: Path) -> None:
    """As a person does: at each clash upstream's lines, then ours; what is gone, goes."""
    for path in git(place, "diff", "--name-only", "--diff-filter=U").splitlines():
        file = place / path
        if not file.exists():
            git(place, "rm", "-q", path)
            continue
        file.write_bytes(_CLASH.sub(_both, file.read_bytes()))
        git(place, "add", path)


def settle_symbols(store: Store, place: Path) -> None:
    """Drop what is not there: of the group int8, no hunk fits the revisions after 1.0.0."""
    path = place / SYMBOLS
    gone = "|".join(map(re.escape, (LEDGER, HELPERS)))
    text = re.sub(rf'"(?:{gone})" = \[.*?\]\n', "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"^\[int8\]\n.*?(?=^\[|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    path.write_text(re.sub(r"^\[[\w-]+\]\n+(?=\[|\Z)", "", text, flags=re.MULTILINE))


def to_the_end(store: Store, done: RebaseStatus) -> RebaseStatus:
    """Settle whatever it stops at. What leaves nothing of a patch, or no Python, is skipped: the
    later upstream does itself what `lean` does on 1.0.0.
    """
    asked = False
    while done.stopped:
        place = done.stopped.worktree
        if done.stopped.reason is StopReason.SYMBOLS:
            assert not asked, "symbols are missing that settle_symbols does not drop"
            asked = True
            settle_symbols(store, place)
        else:
            settle(place)
        try:
            done = proceed(store)
        except ConflictError as error:
            assert "nothing is left" in str(error) or "no Python any more" in str(error)
            done = skip(store)
    return done


def published(store: Store) -> dict[str, tuple[int, bytes]]:
    """All that a rebase may change at its end only."""
    pins = store.vendor / "upstream.toml"
    return files(store.patches) | {"pins": (pins.stat().st_mode, pins.read_bytes())}


def private(store: Store) -> tuple[list[str], str]:
    """What a rebase has beside that: names in vendor/, and refs."""
    assert not journal.pending(store.state)
    names = sorted(path.name for path in store.vendor.iterdir() if path != store.state)
    return names, git(store.vendor / "upstream.git", "for-each-ref")


def tool(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's command line."""
    return subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def _both(clash: re.Match[bytes]) -> bytes:
    theirs, base, ours = (part.splitlines(keepends=True) for part in clash.groups())
    return b"".join([*theirs, *(line for line in ours if line not in base)])
