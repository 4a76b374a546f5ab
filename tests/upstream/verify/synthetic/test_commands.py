"""What is typed to make a file set: what can't be made is one sentence, and leaves nothing."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.trees import ROOT
from verify.synthetic import progress
from verify.synthetic.__main__ import main
from verify.synthetic.abilities import gemmas, layouts, variants
from verify.synthetic.architecture import GemmaFamily, Variant
from verify.synthetic.files import Layout
from verify.upstream.tree import core_of

CORE = core_of(Path(os.environ["LTX2_UPSTREAM_TREE"]))


def command(*arguments: str | Path, tree: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, without upstream where no tree is named."""
    packages = (
        [tree / "packages" / name / "src" for name in ("ltx-core", "ltx-pipelines")] if tree else []
    )
    bare = [] if tree else ["-S"]  # without what the environment has
    return subprocess.run(
        [sys.executable, *bare, "-m", "verify.synthetic", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*packages, ROOT]))},
    )


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Before torch is imported, or even found."""
    (tmp_path / "mine").write_text("dear", encoding="utf-8")
    refused = command(tmp_path, "--variant", "2.0", tree=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 2
    assert "exists and is not empty\n  to do: name a new or an empty folder" in refused.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    refused = command(tmp_path / "out", "--variant", "2.6")
    assert refused.returncode == 2
    assert "invalid choice: '2.6'" in refused.stderr
    assert "2.3" in refused.stderr
    assert list(tmp_path.iterdir()) == []


# The newest loads everything.
@pytest.mark.revisions(before="2026-03-30")
@pytest.mark.parametrize(
    ("option", "newest", "offered"),
    [
        ("--variant", Variant.LTX_2_5.value, [variant.value for variant in variants(CORE)]),
        ("--gemma", GemmaFamily.GEMMA_4.value, [g.value for g in gemmas(CORE)]),
        ("--layout", Layout.SPLIT.value, [layout.value for layout in layouts(CORE)]),
    ],
)
def test_what_the_upstream_does_not_load_is_refused(
    option: str, newest: str, offered: list[str], tmp_path: Path, upstream_tree: Path
) -> None:
    """With what it does, before anything is made."""
    options = {"--variant": "2.0", option: newest}
    arguments = [text for pair in options.items() for text in pair]
    refused = command(tmp_path / "out", *arguments, tree=upstream_tree)
    assert refused.returncode == 2
    assert f"does not load {option} {newest}\n" in refused.stderr
    assert f"  to do: ask for {' or '.join(offered)}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_upstream_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With how to have it."""
    refused = command(tmp_path / "out", "--variant", "2.0")
    assert refused.returncode == 4
    assert "is not installed" in refused.stderr
    assert "make install" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files, from the first weight on, stands for a full disk: both fail in
    the midst of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def full_disk(_name: str, _nbytes: int) -> Iterator[progress.Wrote]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        yield lambda _: None

    monkeypatch.setattr(progress, "on_stderr", lambda: full_disk)
    try:
        code = main([str(tmp_path / "out"), "--variant", "2.0"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 4
    assert "free some space" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
