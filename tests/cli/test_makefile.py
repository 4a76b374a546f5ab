"""The Makefile's own logic, by what it would run."""

from __future__ import annotations

import os
import subprocess

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
