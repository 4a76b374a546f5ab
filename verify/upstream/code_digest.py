"""Digests of what code does: comments, docstrings, messages and formatting leave them as they are.

Python counts by its syntax tree, less its docstrings and less the strings in a `raise`, in the
arguments of a logger's call and in `help=` and `description=`. Every other constant is code, as
`"to_q"` is. A patch counts by the lines that it takes out and puts in, wherever they stand.
"""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
from collections.abc import Sequence
from functools import lru_cache

from ltx2_patcher.values.series import Edit, Patch

_LOGGERS = frozenset({"log", "logger", "logging"})
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})
_TOLD = frozenset({"help", "description"})
_COMMENT = re.compile(rb"(^\s*|\s{2,})#.*$")
_DIGITS = 16  # of sha256: told apart by accident alone, not by an attacker


def digest_of(code: object) -> str:
    """Of nested tuples and mappings of strings."""
    return hashlib.sha256(repr(code).encode()).hexdigest()[:_DIGITS]


@lru_cache(maxsize=1024)  # every base has the same overlay
def file_digest(path: str, content: bytes) -> str:
    """Of a whole file: its code where it is Python's, its bytes elsewhere."""
    return digest_of(_form(ast.parse(content)) if path.endswith(".py") else content)


def patch_digest(patch: Patch) -> str:
    """Of what a patch changes; its name and its message say nothing here."""
    return digest_of(sorted(edits_digest(diff.path, diff.edits) for diff in patch.diffs))


def edits_digest(path: str, edits: Sequence[Edit]) -> str:
    """Of what is changed in a file, wherever in it that stands."""
    form = _lines_form if path.endswith(".py") else tuple
    return digest_of((path, [(form(edit.old), form(edit.new)) for edit in edits]))


def _lines_form(lines: Sequence[bytes]) -> object:
    """Of some lines of a module: their code where they parse alone, else they without comments."""
    text = textwrap.dedent(b"".join(lines).decode("utf-8", "surrogateescape"))
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        bare = (_COMMENT.sub(b"", line).strip() for line in lines)
        return [line for line in bare if line]
    # A string alone may be one item of a list that begins further up: here it counts.
    return [_form(statement) for statement in module.body]


def _form(node: object, *, message: bool = False) -> object:
    """A syntax tree as nested tuples, the same under every Python: fields without a value, which
    differ from one to the next, are left out.
    """
    if isinstance(node, list):
        return [_form(item, message=message) for item in node if not _is_text_alone(item)]
    if isinstance(node, ast.Constant):
        return "text" if message and isinstance(node.value, str) else ("constant", repr(node.value))
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.JoinedStr) and message:
        told = [_form(part, message=True) for part in node.values if not _is_constant(part)]
        return ("text", told) if told else "text"
    message = message or isinstance(node, ast.Raise)
    fields = {
        name: _form(value, message=message or _is_message(node, name))
        for name, value in ast.iter_fields(node)
        if name not in {"ctx", "kind", "type_comment"} and value not in (None, [])
    }
    return (type(node).__name__, fields)


def _is_text_alone(item: object) -> bool:
    """A string that is a statement does nothing: a docstring, or text in the place of a comment."""
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )


def _is_constant(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant)


def _is_message(node: ast.AST, field: str) -> bool:
    """Whether the strings below a field of a node are only told to people."""
    if isinstance(node, ast.keyword):
        return node.arg in _TOLD and field == "value"
    return isinstance(node, ast.Call) and _is_logging(node.func) and field in {"args", "keywords"}


def _is_logging(called: ast.expr) -> bool:
    """`logger.info`, `logging.warning`, `self._log.error`, `logging.getLogger("x").debug`."""
    if not isinstance(called, ast.Attribute) or called.attr not in _LEVELS:
        return False
    of = called.value.func if isinstance(called.value, ast.Call) else called.value
    names = {part for part in re.split(r"\W+", ast.unparse(of)) if part}
    return any(name.strip("_").lower() in _LOGGERS for name in names)
