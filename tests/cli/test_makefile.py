"""The Makefile's own logic, by what it would run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("variables", [[], ["TREE=/a b"], ["UPTO=ampere"]])
def test_verify_after_patching_comes_once(variables: list[str]) -> None:
    """`make verify` needs a patched tree, so it must not ask for verification again."""
    done = subprocess.run(
        ["make", "-n", "patch", "VERIFY=1", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count("-m verify --tree") == 1
    if variables == ["TREE=/a b"]:
        assert '--tree "/a b"' in done.stdout
        assert "--source" not in done.stdout.split("verify")[0]


@pytest.mark.parametrize("variables", [[], ["BASE=1.0.0"]])
def test_make_patch_on_a_tree_takes_the_base_that_supports_it(variables: list[str]) -> None:
    done = subprocess.run(
        ["make", "-n", "patch", "TREE=/a b", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={key: value for key, value in os.environ.items() if key != "BASE"},
    )
    assert ("--base 1.0.0" in done.stdout) == bool(variables)
    assert '--tree "/a b"' in done.stdout


@pytest.mark.parametrize(("stamp", "anew"), [("{}", False), ("/elsewhere", True), ("", True)])
def test_a_clone_that_was_moved_gets_its_environment_anew(
    tmp_path: Path, stamp: str, anew: bool
) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / ".venv/.tool").write_text(f"{stamp.format(tmp_path)}\n")
    done = subprocess.run(
        ["make", "-n", "patch"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ("-m venv --clear" in done.stdout) is anew
    assert (done.stdout.count("echo ../../../.. >") == 1) is anew


def test_a_copys_own_script_changes_no_other_clone(tmp_path: Path) -> None:
    """Its first line still names the interpreter of the clone that it was copied from."""
    script = tmp_path / "copy/.venv/bin/ltx2-patcher"
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!{sys.executable}\nfrom ltx2_patcher.cli.main import run\nrun()\n", "utf-8"
    )
    script.chmod(0o755)
    (tmp_path / "copy/vendor").mkdir()
    done = subprocess.run([script, "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"was made for the clone in {ROOT}, not for {tmp_path / 'copy'}" in done.stderr
    assert "run `make patch`" in done.stderr
    assert "Traceback" not in done.stderr


def test_alone_it_lists_every_target() -> None:
    (targets,) = re.findall(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"))
    alone = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall(r"(?m)^  make (\S+) +\S", alone.stdout) == targets.split()


def test_pins_stand_in_pyproject_alone() -> None:
    assert "==" not in (ROOT / "Makefile").read_text("utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    stamp = "vendor/env-1.0.0/.tests"
    done = subprocess.run(
        ["make", "-n", "BASE=1.0.0", "-W", "vendor/upstream.toml", stamp],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for extra in ("tests", "verify", "kernels"):
        assert " ".join(extras["optional-dependencies"][extra]) in done.stdout
