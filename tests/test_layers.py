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
SERVICE = ROOT / "ltx2_service"
LAYERS = ("cli", "jobs", "boundaries", "rules", "values")
SERVICE_LAYERS = (("cli",), ("http",), ("jobs", "worker"), ("boundaries",), ("rules",), ("values",))
"""Those beside each other don't import each other."""
LENT = ("boundaries", "jobs.launch", "jobs.models", "rules", "values")
"""What the service uses of the tool."""
WINGS = ("series", "models")
MODULES = [path for layer in LAYERS for path in sorted((PACKAGE / layer).rglob("*.py"))]
SERVICE_MODULES = [
    path
    for layers in SERVICE_LAYERS
    for layer in layers
    for path in sorted((SERVICE / layer).rglob("*.py"))
]
SPELL_GIT = ("git", "linediff", "remote", "scratch", "sealed_git")
SLOW = {"git", "unidiff", "rich", "torch", "email", "zipfile"}


def dotted(path: Path) -> str:
    """A module's name below the package: "jobs.series.apply"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """The modules of ours that a module names in an import, also inside functions."""
    return {name.removeprefix("ltx2_patcher.") for name in named(path)} & set(map(dotted, MODULES))


def named(path: Path) -> set[str]:
    """Every module that a module names in an import, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down(path: Path) -> None:
    layer = LAYERS.index(dotted(path).split(".")[0])
    for name in imports(path):
        other = LAYERS.index(name.split(".")[0])
        assert other >= layer, f"{dotted(path)} of {LAYERS[layer]} imports {name}"


def service_name(path: Path) -> str:
    """A module of the service below its package: "jobs.accept"."""
    return ".".join(path.relative_to(SERVICE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", SERVICE_MODULES, ids=service_name)
def test_imports_of_the_service_point_down(path: Path) -> None:
    """And out of it to the tool's engine alone: neither to its command line nor to verify."""
    height = {layer: n for n, layers in enumerate(SERVICE_LAYERS) for layer in layers}
    own = service_name(path).split(".")[0]
    for name in named(path):
        package, _, rest = name.partition(".")
        layer = rest.split(".")[0]
        if package == "ltx2_service" and layer in height and layer != own:
            assert height[layer] > height[own], f"{service_name(path)} imports {name}"
        if package == "ltx2_patcher" and "." in rest:
            assert rest.startswith(LENT), f"{service_name(path)} imports {name}"
            assert not rest.startswith("rules.series"), f"{service_name(path)} imports {name}"
            own_layer = LAYERS.index(own if own in LAYERS else "jobs")
            assert LAYERS.index(layer) >= own_layer, f"{service_name(path)} imports {name}"
        assert package not in {"verify", "tests"}, f"{service_name(path)} imports {name}"


def test_the_rules_of_the_service_touch_nothing_outside() -> None:
    outside = {"asyncio", "fastapi", "os", "socket", "sqlite3", "starlette", "subprocess"}
    for path in SERVICE_MODULES:
        packages = {name.split(".")[0] for name in named(path)}
        if service_name(path).split(".")[0] in {"rules", "values"}:
            assert not packages & outside, path
        if service_name(path).split(".")[0] != "boundaries":
            assert not packages & {"sqlite3", "subprocess"}, path


def test_the_tool_imports_nothing_of_the_service() -> None:
    for path in MODULES:
        assert not [name for name in named(path) if name.startswith("ltx2_service")], path


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
