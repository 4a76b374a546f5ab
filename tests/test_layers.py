"""Imports point down only, and what must start fast imports nothing slow."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.jobs import ORDER
from tests.conftest import ROOT

LAYERS = ("doors", "jobs", "boundaries", "rules", "values")
MODULES = sorted((ROOT / "ltx2_patcher").glob("*/*.py"))
SPELL_GIT = ("git", "linediff", "objects", "remote", "scratch")
SLOW = {"git", "unidiff", "rich", "torch", "email", "zipfile"}


def imports(path: Path) -> set[str]:
    """The modules of ours that a module names in an import, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("ltx2_patcher.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_imports_point_down(path: Path) -> None:
    layer = LAYERS.index(path.parent.name)
    for name in imports(path):
        other = LAYERS.index(name.split(".")[1])
        assert other >= layer, f"{path.name} of {LAYERS[layer]} imports {name}"


def test_a_job_imports_only_jobs_before_it() -> None:
    jobs = {path.stem for path in MODULES if path.parent.name == "jobs"} - {"__init__"}
    assert jobs == set(ORDER)
    for place, job in enumerate(ORDER):
        used = {
            name.split(".")[2]
            for name in imports(ROOT / f"ltx2_patcher/jobs/{job}.py")
            if name.startswith("ltx2_patcher.jobs.")
        }
        assert used <= set(ORDER[:place]), job


def test_one_module_an_outside_thing() -> None:
    """Only proc starts processes, few modules spell git, nothing imports torch."""
    for path in MODULES:
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (
                [ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names
            )
        }
        if path.stem != "proc":
            assert "subprocess" not in names, path
        if path.stem not in SPELL_GIT:
            assert "git" not in names, path
            assert '"git"' not in path.read_text() or path.parent.name in ("doors", "jobs"), path
        assert "torch" not in names, path


@pytest.mark.parametrize("verb", ["--help", "status", "nothing to do", "apply --help"])
def test_what_must_be_quick_imports_nothing_slow(tree: Path, verb: str) -> None:
    arguments = {
        "--help": ["--help"],
        "apply --help": ["apply", "--help"],
        "status": ["status", "--tree", str(tree)],
        "nothing to do": ["apply", "--tree", str(tree)],
    }[verb]
    if verb == "nothing to do":
        subprocess.run(
            [sys.executable, "-m", "ltx2_patcher", *arguments], check=True, cwd=ROOT, stdout=-3
        )
    code = (
        "import sys, json\n"
        "from ltx2_patcher.doors.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, cwd=ROOT, capture_output=True
    )
    *said, last = done.stdout.splitlines()
    assert said
    assert not SLOW & set(json.loads(last))
