"""The Makefile's own logic, by what it would run."""

from __future__ import annotations

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
