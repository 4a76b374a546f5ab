"""matrix, as a person types it: a table, JSON, one page, a record."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser import PROGRAM, Tab, browser
from tests.small_upstream import MODULE, REVISIONS, SmallUpstream, patcher


def test_the_table_tells_what_is_supported_and_what_breaks(small: SmallUpstream) -> None:
    done = patcher(small, "matrix")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert re.search(r"small, 3-way +=~=$", rows[small.commits["merges"][:10]])
    assert rows[small.commits["breaks"][:10]].endswith("x==")
    assert rows[small.commits["taken"][:10]].endswith("=== !")
    first, second, *_ = done.stdout.splitlines()
    assert (first, second) == (
        "3 of 8 revisions are supported",
        "    3 by small: 1 strict, 2 3-way",
    )
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert BREAKS not in done.stdout
    assert BREAKS in patcher(small, "matrix", "--every").stdout


BREAKS = 'should stand there and is "weights = read(root, strict=True)"'


def test_the_json_has_each_patch_on_each_revision(small: SmallUpstream) -> None:
    made = json.loads(patcher(small, "matrix", "--json").stdout)
    rows = {row["subject"]: row for row in made["revisions"]}
    assert [row["subject"] for row in made["revisions"]] == list(REVISIONS)[:0:-1]
    for name, by, how in (
        ("base", "small", "strict"),
        ("merges", "small", "3-way"),
        ("breaks", None, None),
    ):
        row = rows[name]
        assert (row["commit"], row["supported_by"], row["how"]) == (small.commits[name], by, how)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
    assert rows["merges"]["patches"]["small"] == {
        "load_quantized.patch": "strict",
        "strip_the_text.patch": "3-way",
        "count_to_two.patch": "strict",
    }
    (hunk,) = rows["breaks"]["hunks"]["small"]["load_quantized.patch"]
    assert (hunk["path"], hunk["hunk"][:10]) == (MODULE, "@@ -1,5 +1")
    assert rows["taken"]["faults"]["small"]
    assert {(one["patch"], one["side"], one["commit"]) for one in made["breaks"]} == {
        ("load_quantized.patch", "newer", small.commits["breaks"]),
        ("strip_the_text.patch", "newer", small.commits["moved"]),
    }
    some = json.loads(patcher(small, "matrix", "small", "--base", "small", "--json").stdout)
    assert [row["subject"] for row in some["revisions"]] == ["base"]


class Page(HTMLParser):
    """Checks that tags nest, and notes what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "wbr"):
            self.open.append(tag)
        self.loads += [f"{key}={value}" for key, value in attrs if key in ("src", "href")]
        if tag == "td":
            self.cells.append(dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_it(small: SmallUpstream, tmp_path: Path) -> None:
    place = tmp_path / "matrix.html"
    assert patcher(small, "matrix", "--html", place).returncode == 0
    text = place.read_text()
    page = Page()
    page.feed(text)
    assert (page.open, page.loads) == ([], [])
    assert "<script" not in text and "url(" not in text and "@import" not in text
    names = {name for cell in page.cells for name in cell.split()}
    assert names == {"strict", "merged", "landed", "left", "misfit", "home"}
    assert "is &quot;weights = read(root, strict=True)&quot;" in text
    assert text.count('scope="col"') == 8
    link = tmp_path / "link.html"
    link.symlink_to(place)
    done = patcher(small, "matrix", "--html", link)
    assert (done.returncode, "not a plain file" in done.stderr) == (3, True)


SHOWN = (
    "[...document.querySelectorAll('.panel')]"
    ".filter(one => getComputedStyle(one).display != 'none').map(one => one.innerText)"
)


def middle(tab: Tab, cell: str) -> dict[str, float]:
    """Where a cell is, brought into view."""
    place: dict[str, float] = tab.ask(
        f"(() => {{ const cell = {cell}; cell.scrollIntoView(); "
        "const box = cell.getBoundingClientRect(); "
        "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
    )
    return place


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome on the PATH")
@pytest.mark.parametrize("width", [1400, 500])
def test_a_browser_shows_the_hunk_that_breaks(
    small: SmallUpstream, tmp_path: Path, width: int
) -> None:
    place = tmp_path / "matrix.html"
    assert patcher(small, "matrix", "--html", place).returncode == 0
    words = 'should stand there and is "weights = read(root, strict=True)"'
    with browser(tmp_path / "profile", width, 900) as tab:
        tab.open(place.as_uri())
        assert tab.ask(SHOWN) == []
        broken = (
            "[...document.querySelectorAll('td.misfit')]"
            f".find(one => one.textContent.includes({words!r}))"
        )
        other = "document.querySelector('td.merged[aria-label]')"
        tab.point(middle(tab, broken))
        (shown,) = tab.ask(SHOWN)
        assert words in shown and "read(root, quantized)" in shown
        tab.point({"x": 2, "y": 2})
        assert tab.ask(SHOWN) == []
        tab.point(middle(tab, broken), click=True)
        tab.point(middle(tab, other))  # on the way to the panel the mouse crosses other cells
        assert tab.ask(SHOWN) == [shown]
        tab.press("Tab", 9)
        if tab.ask("document.activeElement.className") == "panel":  # it scrolls: so do its keys
            assert tab.ask(SHOWN) == [shown]
            tab.press("Tab", 9)
        (after,) = tab.ask(SHOWN)
        assert after != shown
        assert tab.ask("document.activeElement.tagName") == "TD"
        tab.point({"x": 2, "y": 2}, click=True)
        assert tab.ask(SHOWN) == []
        assert tab.ask("document.querySelector('p').getBoundingClientRect().right") <= width
        assert tab.faults == []


def test_check_fails_by_name_and_write_records(small: SmallUpstream) -> None:
    assert patcher(small, "matrix", "--check").returncode == 5
    done = patcher(small, "matrix", "--write")
    assert (done.returncode, "3 supported revisions" in done.stdout) == (0, True), done.stderr
    done = patcher(small, "matrix", "--check")
    assert (done.returncode, "3 recorded revisions are still supported" in done.stdout) == (0, True)
    assert f"never recorded as supported: {small.commits['moved'][:12]}" in done.stdout
    record = small.store.supported_file
    record.write_text(record.read_text().replace(small.commits["landed"], small.commits["breaks"]))
    done = patcher(small, "matrix", "--check")
    assert done.returncode == 5
    for word in (small.commits["breaks"][:12], "load_quantized.patch", "hunk @@ -1,5 +1,5 @@"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["--all"],
        ["--base", "smal"],
        ["--check", "--base", "small"],
        ["--write", "small"],
        ["--write", "--check"],
    ],
)
def test_what_does_not_go_together_is_a_sentence(
    small: SmallUpstream, arguments: list[str]
) -> None:
    done = patcher(small, "matrix", *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
