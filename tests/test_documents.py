"""What the documents name exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from tests.conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PRESENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
"""What speaks of the tree as it is."""
FOLDERS = {"docs", "ltx2_patcher", "ltx2_service", "patches", "tests", "vendor", "verify"}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MODULE = re.compile(r"python -m ((?:verify|tests|ltx2_patcher|ltx2_service|ltx_pipelines)[\w.]*)")
_CODE = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def text_of(document: Path) -> str:
    return document.read_text("utf-8")


def anchors(document: Path) -> set[str]:
    """The headings of a document as links name them."""
    headings = re.findall(r"^#+ (.+)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def paths_in(document: Path) -> Iterator[str]:
    """What stands in backticks, begins with a folder of ours and names one path."""
    for words in _CODE.findall(text_of(document)):
        path = words.split("::")[0]
        if path.split("/")[0] in FOLDERS and re.fullmatch(r"[\w./-]+", path) and "/" in path:
            yield path


def test_the_first_page_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 120


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(text_of(document)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_that_one_is_to_run_exist(document: Path) -> None:
    overlay = ROOT / "patches/overlay/packages/ltx-pipelines/src"
    upstreams = {"ltx_pipelines.distilled"}
    for module in set(_MODULE.findall(text_of(document))) - upstreams:
        place = (overlay if module.startswith("ltx_") else ROOT) / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


@pytest.mark.parametrize("document", PRESENT, ids=lambda path: path.name)
def test_paths_exist(document: Path) -> None:
    """But those below vendor/ that a command makes."""
    for path in paths_in(document):
        made = path.startswith("vendor/") and path != "vendor/upstream.toml"
        assert made or (ROOT / path).exists(), f"{document.name} names {path}"


def test_the_differences_name_tests_that_exist() -> None:
    """Each difference has at least one; a section without says nothing that holds."""
    text = text_of(ROOT / "docs/differences.md")
    for file, name in _TEST.findall(text):
        tree = ast.parse((ROOT / file).read_bytes())
        assert name in {f.name for f in tree.body if isinstance(f, ast.FunctionDef)}, name
    for section in text.split("\n### ")[1:]:
        assert _TEST.search(section.split("\n## ")[0]), section.splitlines()[0]


def test_each_test_of_the_differences_is_named() -> None:
    file = "tests/upstream/pipelines/test_differences.py"
    tree = ast.parse((ROOT / file).read_bytes())
    tests = {f.name for f in tree.body if isinstance(f, ast.FunctionDef) and f.name[:5] == "test_"}
    named = {n for path, n in _TEST.findall(text_of(ROOT / "docs/differences.md")) if path == file}
    assert named == tests


def test_the_changes_have_the_version() -> None:
    """Dated where it is out, under Unreleased where it is on its way."""
    version = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]
    headings = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert all(re.fullmatch(r"[\d.]+ - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    if ".dev" in version:
        assert headings[0] == "Unreleased"
    else:
        assert version in [heading.split(" - ")[0] for heading in headings]


def test_every_base_is_told_of() -> None:
    table = text_of(ROOT / "docs/bases.md")
    assert all(f"`{base.name}`" in table for base in Store(ROOT).bases())
