"""Whatever lies in patches/ and vendor/upstream.toml: a sentence, and no file outside the tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.diff import compare
from ltx2_patcher.jobs.series.export import check_export
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.log import log
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.rules.series.lock_file import parse_lock, render_lock
from ltx2_patcher.rules.series.shared_patch import joined
from ltx2_patcher.values.errors import InvalidError, PatcherError
from tests.conftest import BASE, ROOT, files, git, world

HOSTILE = [
    b"../../../../../evil",
    b"packages/ltx-core/src/../../../../evil.py",
    b"packages/ltx-core/src/.git/hooks/pre-commit",
    b".git/config",
    b"/etc/passwd",
    b"/dev/zero",
    b"--upload-pack=evil",
    b"packages/\xff\xfe/src/x.py",
    b"a\x00b",
    b"\r\n",
    b"\x1b[31m",
    b"[" * 2000,
    b"9" * 5000,
]
NAMES = ("lock.json", "overlay.lock.json", "series", "symbols.toml", "upstream.toml", "*.patch")


def place(store: Store, name: str, number: int) -> Path:
    if name == "upstream.toml":
        return store.vendor / name
    if name == "*.patch":
        places = (store.patches / BASE / "series").read_text().split()
        entry = places[number % len(places)]
        return store.patches / (entry if "/" in entry else f"{BASE}/{entry}")
    if name == "overlay.lock.json":
        return store.patches / name
    return store.patches / BASE / name


def believed(store: Store, path: Path) -> None:
    """Let the lock promise a changed patch, so that it is read and not only told apart."""
    at = store.patches / BASE / "lock.json"
    lock = parse_lock(at.read_bytes(), "lock")
    data, shared = path.read_bytes(), lock.patches[path.name].shared
    with suppress(InvalidError):  # then no digest can make it believed
        data = joined(path.name, data, shared.lines) if shared else data
    sha256 = hashlib.sha256(data).hexdigest()
    patches = {**lock.patches, path.name: replace(lock.patches[path.name], sha256=sha256)}
    at.write_bytes(render_lock(replace(lock, patches=patches)))


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, int, Callable[[bytes], bytes]]:
    name, number = draw(st.sampled_from(NAMES)), draw(st.integers(0, 99))
    start, length = draw(st.floats(0, 1)), draw(st.integers(0, 200))
    junk = draw(st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=20)))
    kind = draw(st.sampled_from(["splice", "word", "line", "crlf"]))

    def mutate(data: bytes) -> bytes:
        if kind == "crlf":
            return data.replace(b"\n", b"\r\n")
        if kind == "word":  # in the place of a path, a name, a number
            words = data.split(b'"' if b'"' in data else b" ")
            words[int(start * (len(words) - 1))] = junk
            return (b'"' if b'"' in data else b" ").join(words)
        if kind == "line":
            lines = data.split(b"\n")
            lines.insert(int(start * len(lines)), junk)
            return b"\n".join(lines)
        at = int(start * len(data))
        return data[:at] + junk + data[at + length :]

    return name, number, mutate


def everything(store: Store, tree: Path) -> None:
    """What a person may run; each may only end in an error of ours."""
    jobs: list[Callable[[], object]] = [
        lambda: lint(store),
        lambda: [log(store, base) for base in store.bases()],
        lambda: [compare(store, base, base, everything=True) for base in store.bases()],
        lambda: [check_export(store, base) for base in store.bases()],
        lambda: tree_status(store, tree, None),
        lambda: apply_tree(store, store.base(BASE), tree),
    ]
    for job in jobs:
        try:
            job()
        except PatcherError as error:
            assert str(error) and error.remedy
    git(tree, "reset", "-q", "--hard")


@pytest.mark.parametrize("examples", [10, pytest.param(600, marks=pytest.mark.slow)])
def test_no_input_gives_a_traceback_or_leaves_the_tree(
    copied_store: Store, tree: Path, examples: int
) -> None:
    shutil.copytree(tree, copied_store.vendor / f"LTX-2-{BASE}", symlinks=True)
    whole = files(copied_store.root)
    start = files(tree)
    base = copied_store.base(BASE)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations())
    def fuzz(mutation: tuple[str, int, Callable[[bytes], bytes]]) -> None:
        name, number, mutate = mutation
        path = place(copied_store, name, number)
        good, lock = path.read_bytes(), (copied_store.patches / BASE / "lock.json").read_bytes()
        path.write_bytes(mutate(good))
        if name == "*.patch":
            believed(copied_store, path)
        mutated = files(copied_store.root)
        try:
            everything(copied_store, tree)
            assert files(copied_store.root) == mutated
        finally:
            path.write_bytes(good)
            if name == "*.patch":
                (copied_store.patches / BASE / "lock.json").write_bytes(lock)
            unapply_tree(copied_store, base, tree)
        assert files(tree) == start
        assert files(copied_store.root) == whole
        assert not (tree.parent / "evil").exists()

    fuzz()


def test_a_patch_and_its_lock_that_agree_on_a_file_of_no_base(
    copied_store: Store, tree: Path
) -> None:
    path = next((copied_store.patches / BASE).glob("pass_*.patch"))
    data = path.read_bytes()
    start = data.index(b"+++ b/") + len(b"+++ b/")
    touched = data[start : data.index(b"\n", start)]
    path.write_bytes(data.replace(touched, b"packages/ltx-core/src/other.py"))
    believed(copied_store, path)
    before = world(tree)
    with pytest.raises(InvalidError, match="is not sound"):
        apply_tree(copied_store, copied_store.base(BASE), tree)
    assert world(tree) == before


@pytest.mark.parametrize("kind", ["device", "pipe", "link", "folder", "unnamed", "outside", "name"])
def test_what_is_no_plain_file_of_a_series_is_refused_in_a_sentence(
    tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "repository"
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "vendor").mkdir()
    pins = root / "vendor/upstream.toml"
    shutil.copy(ROOT / "vendor/upstream.toml", pins)
    patch = next((root / "patches" / BASE).glob("*.patch"))
    laid = root / "patches/overlay/packages/ltx-core/src/ltx_core"
    if kind == "device":
        patch.unlink()
        patch.symlink_to("/dev/zero")
    elif kind == "pipe":
        patch.unlink()
        os.mkfifo(patch)
    elif kind == "link":
        (laid / "passwd.py").symlink_to("/etc/passwd")
    elif kind == "folder":
        patch.unlink()
        patch.mkdir()
    elif kind == "unnamed":
        Path(os.fsdecode(os.fsencode(laid) + b"/\xff.py")).write_text("")
    elif kind == "outside":
        (root / "patches/overlay/setup.py").write_text("")
    else:
        pins.write_text(pins.read_text().replace('bases."1.0.0"', 'bases."../../1.0.0"'))
    for verb in (
        ["lint"],
        ["log"],
        ["status"],
        ["diff", BASE, BASE],
        ["apply", "--source", "pypi"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ltx2_patcher", *verb],
            cwd=root,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in {2, 5}, (verb, done.stderr)
        assert "to do: " in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in (root / "vendor").iterdir()] == ["upstream.toml"]
