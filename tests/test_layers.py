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

PACKAGE = ROOT / "ltx2_patcher"
LAYERS = ("cli", "jobs", "boundaries", "rules", "values")
WINGS = ("series", "models")
MODULES = [path for layer in LAYERS for path in sorted((PACKAGE / layer).rglob("*.py"))]
SPELL_GIT = ("git", "linediff", "objects", "remote", "scratch")
SLOW = {"git", "unidiff", "rich", "torch", "email", "zipfile"}


def dotted(path: Path) -> str:
    """A module's name below the package: "jobs.series.apply"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """The modules of ours that a module names in an import, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("ltx2_patcher.") for name in found} & set(map(dotted, MODULES))


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down(path: Path) -> None:
    layer = LAYERS.index(dotted(path).split(".")[0])
    for name in imports(path):
        other = LAYERS.index(name.split(".")[0])
        assert other >= layer, f"{dotted(path)} of {LAYERS[layer]} imports {name}"


def test_the_series_and_the_models_never_import_each_other() -> None:
    """In rules and in jobs; what needs both stands above them, in jobs.launch."""
    seen = set()
    for path in MODULES:
        layer, wing = (*dotted(path).split("."), "")[:2]
        if layer in {"rules", "jobs"} and wing in WINGS:
            seen.add(wing)
            (other,) = set(WINGS) - {wing}
            across = {f"{part}.{other}" for part in ("rules", "jobs")}
            assert not [name for name in imports(path) if name.startswith(tuple(across))], path
    assert seen == set(WINGS)


def test_a_job_imports_only_jobs_before_it() -> None:
    jobs = [dotted(p).removeprefix("jobs.") for p in MODULES if p.is_relative_to(PACKAGE / "jobs")]
    assert {job for job in jobs if (PACKAGE / f"jobs/{job.replace('.', '/')}.py").exists()} == {
        *ORDER
    }
    for place, job in enumerate(ORDER):
        path = PACKAGE / f"jobs/{job.replace('.', '/')}.py"
        used = {name.removeprefix("jobs.") for name in imports(path) if name.startswith("jobs.")}
        assert used & set(ORDER) <= set(ORDER[:place]), job


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
            above = dotted(path).split(".")[0] in ("cli", "jobs")
            assert above or '"git"' not in path.read_text(), path
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
        "from ltx2_patcher.cli.main import main\n"
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
