"""Code is told from words: no comment, docstring or message changes a digest, all else does."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.values.series import Edit
from tests.conftest import ROOT
from verify.upstream.code_digest import edits_digest, file_digest

SOURCES = sorted((ROOT / "patches/overlay").rglob("*.py"))
WORDS = st.text(st.characters(codec="ascii", exclude_characters='\\"{}\r\n\0'), max_size=20)
CODE = st.tuples(st.sampled_from(["to_q", "to_k", "x", ""]), st.integers(), st.booleans())


def digest(source: str) -> str:
    return file_digest("a.py", source.encode())


def module(words: list[str], code: tuple[str, int, bool]) -> str:
    """Every place for words, and some for code."""
    doc, comment, raised, field, logged, told, described, text = words
    key, number, truth = code
    return f'''"""{doc}"""
# {comment}
import logging
logger = logging.getLogger("{key}")  # {comment}
LIMIT = {number}
"""{text}"""


class Loader:
    """{doc}"""

    def load(self, parser, name):
        "{doc}"
        self._log.warning("{logged} %s", name)
        logging.getLogger("{key}").info(f"{logged}{{name}}")
        parser.add_argument("--x", default="{key}", help="{told}", metavar="N")
        parser.add_parser("y", description="{described}" + f"{told}{{LIMIT}}")
        if name != "{key}":
            raise ValueError(f"{raised}{{name!r}}{field}", "{told}", {truth}, 3)
        return {{"{key}": {number}}}, self.info("{key}")
'''


@given(st.lists(WORDS, min_size=8, max_size=8), st.lists(WORDS, min_size=8, max_size=8), CODE)
def test_words_leave_a_digest(
    words: list[str], others: list[str], code: tuple[str, int, bool]
) -> None:
    assert digest(module(words, code)) == digest(module(others, code))


@given(st.lists(WORDS, min_size=8, max_size=8), CODE, CODE)
def test_code_changes_a_digest(
    words: list[str], code: tuple[str, int, bool], other: tuple[str, int, bool]
) -> None:
    same = digest(module(words, code)) == digest(module(words, other))
    assert same == (code == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('x = "a"', 'x = b"a"'),
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("f(help)", "f(help=help)"),
        ("{**a}", "{None: a}"),
        ("raise A", "raise B"),
        ('raise A("x")', 'raise A("x", "y")'),
        ("raise A(2)", "raise A(3)"),
        ('raise A(f"{x}")', 'raise A(f"{y}")'),
        ('logging.getLogger("a")', 'logging.getLogger("b")'),
        ('self.info("a")', 'self.info("b")'),
        ('catalog.info("a")', 'catalog.info("b")'),
        ('assert x, "a"', 'assert x, "b"'),
        ('if x:\n    f("a")', 'if x:\n    f("b")'),
        ("async def f(): g()", "def f(): g()"),
    ],
)
def test_what_looks_like_words_may_be_code(one: str, other: str) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_formatting_and_comments_leave_a_real_module(path: Path) -> None:
    source = path.read_text("utf-8")
    assert digest(source) == digest(ast.unparse(ast.parse(source)))
    ends = [
        token.end
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NEWLINE
    ]
    lines = source.splitlines()
    for row, _ in ends:
        lines[row - 1] += "  # noqa: E501 - a reason"
    assert digest(source) == digest("\n".join(lines))


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", SOURCES[::5], ids=lambda path: path.stem)
def test_each_statement_of_a_real_module_counts(path: Path, every: int) -> None:
    """Each fourth, or all."""
    source = path.read_text("utf-8")
    whole, tree = digest(source), ast.parse(source)
    for node, place in statements(tree)[::every]:
        statement, node.body[place] = node.body[place], ast.Pass()
        if not isinstance(statement, ast.Pass):
            assert digest(ast.unparse(tree)) != whole, ast.unparse(statement)
        node.body[place] = statement


def statements(tree: ast.Module) -> list[tuple[Any, int]]:
    """Each as the node whose body holds it, and its place there."""
    holders: list[Any] = [n for n in ast.walk(tree) if isinstance(getattr(n, "body", None), list)]
    return [(node, place) for node in holders for place in range(len(node.body))]


def change(old: str, new: str, start: int = 3) -> str:
    lines = (tuple(text.encode().splitlines(keepends=True)) for text in (old, new))
    return edits_digest("a.py", [Edit(start, *lines)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x = 1  # why\n"),
        ("x = 1\n", "# why\nx = 1\n"),
        ("    x = 1\n", "    x   = 1\n"),
        ("def f(\n", "# why\ndef f(  # why\n"),
        ('raise A("a")\n', 'raise A("b")\n'),
        ('def f():\n    """A."""\n    x()\n', 'def f():\n    """B."""\n    x()\n'),
        ("a=a,\n", "a=a,  # noqa: X1\n"),
    ],
)
def test_words_leave_the_digest_of_a_change(one: str, other: str) -> None:
    assert change("y\n", one) == change("y\n", other)
    assert change(one, "y\n") == change(other, "y\n")
    assert change("y\n", one, start=3) == change("y\n", one, start=9)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"to_q"\n', '"to_k"\n'),  # an item of a list that begins further up
        ('"to_q",\n', '"to_k",\n'),
        ("def f(\n", "def g(\n"),
        ("a=a,\n", "a=b,\n"),
        ("f()\n", "f()\ng()\n"),
        ("x = 1\n", "x = 2\n"),
        ("# why\n", "why\n"),
    ],
)
def test_code_changes_the_digest_of_a_change(one: str, other: str) -> None:
    assert change("y\n", one) != change("y\n", other)
    assert change(one, "y\n") != change(other, "y\n")
    assert change(one, other) != change(other, one)


def test_of_what_is_no_python_every_byte_counts() -> None:
    assert file_digest("a.toml", b"# a") != file_digest("a.toml", b"# b")
    edits = [Edit(0, (), (line,)) for line in (b"# a", b"# b")]
    assert edits_digest("a.toml", edits[:1]) != edits_digest("a.toml", edits[1:])
