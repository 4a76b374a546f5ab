"""The patched tree's commits back into the series, and the series as one mailbox."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.jobs.series.export import export, write_mailbox
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError
from tests.conftest import BASE, files, git
from tests.rebases import LEDGER


def test_the_mailbox_gives_the_same_tree_by_git_am(
    store: Store, base: Base, tree: Path, published: Path, tmp_path: Path
) -> None:
    write_mailbox(store, base, tmp_path / "series.mbox")
    apply_tree(store, base, tree)
    other = tmp_path / "other"
    shutil.copytree(published, other)
    git(other, "am", "-q", str(tmp_path / "series.mbox"))
    assert git(other, "rev-parse", "HEAD^{tree}") == git(tree, "rev-parse", "HEAD^{tree}")
    assert git(other, "rev-list", "--count", "HEAD~1..HEAD") == "1"
    assert git(other, "log", "--format=%s") == git(tree, "log", "--format=%s")


def test_export_gives_the_patches_back_byte_for_byte(
    copied_store: Store, base: Base, tree: Path
) -> None:
    apply_tree(copied_store, base, tree)
    before = files(copied_store.patches)
    assert export(copied_store, base, tree).changed == ()
    assert files(copied_store.patches) == before
    for patch in (copied_store.patches / BASE).glob("*.patch"):
        patch.unlink()
    (copied_store.patches / BASE / "lock.json").unlink()
    export(copied_store, base, tree)
    assert files(copied_store.patches) == before


def test_export_refuses_what_is_no_series(copied_store: Store, base: Base, tree: Path) -> None:
    before = files(copied_store.patches)
    with pytest.raises(ConflictError, match="no commits on top"):
        export(copied_store, base, tree)
    apply_tree(copied_store, base, tree)
    (tree / LEDGER).write_text("# edit\n")
    with pytest.raises(ConflictError, match="not committed"):
        export(copied_store, base, tree)
    git(tree, "commit", "-q", "-a", "-m", "No reason given")
    with pytest.raises(InvalidError, match="not a patch of this series"):
        export(copied_store, base, tree)
    assert files(copied_store.patches) == before


@pytest.mark.parametrize("kind", ["outside", "link", "mode", "message", "subject"])
def test_export_refuses_what_a_series_can_not_hold(
    copied_store: Store, base: Base, tree: Path, kind: str
) -> None:
    apply_tree(copied_store, base, tree)
    before = files(copied_store.patches)
    body = "We need this here for reasons that are long enough to be a reason.\n\nIt can go then."
    trailers = "Upstream-Status: Pending\nGroup: int8"
    subject, path = "Do a thing", tree / "packages/ltx-core/src/ltx_core/types.py"
    if kind == "outside":
        path = tree / "NOTES.txt"
        path.write_text("note\n")
    elif kind == "link":
        path = tree / "packages/ltx-core/src/ltx_core/alias.py"
        path.symlink_to("types.py")
    elif kind == "mode":
        path.chmod(0o755)
    else:
        path.write_text(path.read_text() + "X = 1\n")
        body = body.replace("It can", "---\n\nIt can") if kind == "message" else body
        subject = "!!!" if kind == "subject" else subject
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", f"{subject}\n\n{body}\n\n{trailers}")
    with pytest.raises(InvalidError):
        export(copied_store, base, tree)
    assert files(copied_store.patches) == before


def test_an_author_and_a_subject_beyond_ascii_come_back(
    copied_store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    apply_tree(copied_store, base, tree)
    path = tree / "packages/ltx-core/src/ltx_core/types.py"
    path.write_text(path.read_text() + "X = 1\n")
    message = (
        "F\u00fcge \u00e4 hinzu, " + "und noch etwas " * 6 + "\n\n"
        "We need this here for reasons that are long enough to be a reason.\n\nIt can go then.\n\n"
        "Upstream-Status: Pending\nGroup: int8\n"
    )
    author = "J\u00fcrgen \u00c4 <j@example.invalid>"
    git(tree, "commit", "-q", "-a", "-m", message, "--author", author)
    for key, value in {"i18n.logOutputEncoding": "ISO-8859-1", "log.showSignature": "true"}.items():
        git(tree, "config", key, value)
    export(copied_store, base, tree)
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    for place in (tree, other):
        git(place, "config", "--unset", "i18n.logOutputEncoding")
    git(other, "switch", "-q", "work")
    git(other, "branch", "-q", "-D", "ltx2-patcher/1.0.0")
    apply_tree(copied_store, base, other)
    for shown in ("%an <%ae>", "%s", "%T"):
        told = [git(place, "log", "-1", f"--format={shown}") for place in (tree, other)]
        assert told[0] == told[1]
    assert export(copied_store, base, other).changed == ()


def test_words_in_another_encoding_are_refused(copied_store: Store, base: Base, tree: Path) -> None:
    apply_tree(copied_store, base, tree)
    raw = git(tree, "cat-file", "commit", "HEAD").replace(
        "LTX-2 patch toolkit <", "J\u00fcrgen <", 1
    )
    made = ("git", "hash-object", "-t", "commit", "-w", "--stdin")
    latin = subprocess.run(
        made, cwd=tree, input=raw.encode("latin-1") + b"\n", check=True, capture_output=True
    )
    git(tree, "reset", "-q", "--soft", latin.stdout.decode().strip())
    before = files(copied_store.patches)
    with pytest.raises(InvalidError, match="not UTF-8"):
        export(copied_store, base, tree)
    assert files(copied_store.patches) == before


def test_the_trees_own_settings_change_no_byte_of_an_export(
    copied_store: Store, base: Base, tree: Path
) -> None:
    apply_tree(copied_store, base, tree)
    for key, value in {
        "format.signoff": "true",
        "format.headers": "X-Odd: 1",
        "format.thread": "shallow",
        "format.from": "Odd <odd@odd.invalid>",
        "format.useAutoBase": "true",
        "format.subjectPrefix": "ODD",
        "format.coverLetter": "true",
        "format.notes": "true",
        "format.to": "odd@odd.invalid",
        "diff.suppressBlankEmpty": "true",
        "diff.noprefix": "true",
        "diff.algorithm": "patience",
        "diff.context": "7",
        "diff.interHunkContext": "9",
        "diff.orderFile": "/nonexistent",
        "core.abbrev": "7",
        "color.ui": "always",
        "commit.gpgSign": "true",
        "gpg.program": "false",
        "diff.external": "false",
        "diff.odd.command": "false",
        "diff.odd.textconv": "tr a b <",
        "core.autocrlf": "true",
    }.items():
        git(tree, "config", key, value)
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/attributes").write_text("*.py diff=odd\n")
    for hook in ("reference-transaction", "post-index-change", "pre-commit"):
        (tree / ".git/hooks").mkdir(exist_ok=True)
        (tree / ".git/hooks" / hook).write_text("#!/bin/sh\nexit 1\n")
        (tree / ".git/hooks" / hook).chmod(0o755)
    os.utime(tree / "packages/ltx-core/src/ltx_core/types.py", (0, 0))  # to be compared
    for patch in (copied_store.patches / BASE).glob("*.patch"):
        patch.unlink()
    before = (copied_store.patches / BASE / "lock.json").read_bytes()
    export(copied_store, base, tree)
    assert (copied_store.patches / BASE / "lock.json").read_bytes() == before
