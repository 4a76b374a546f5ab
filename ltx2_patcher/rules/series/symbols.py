"""Whether a patched file parses and holds what it must: flags, functions, parameters, calls."""

import ast
from functools import lru_cache

from ltx2_patcher.values.errors import InvalidError


@lru_cache(maxsize=4096)  # one file serves many revisions and series
def missing(path: str, source: bytes, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Which of `wanted` the Python file lacks.

    A wanted symbol is a flag ("--gemma-4bit", standing as a string), a name with its classes
    ("ModelLedger.text_encoder"), an attribute that a method gives its instance
    ("PromptEncoder._text_encoder_builder"), a name with a parameter
    ("ModelLedger.__init__(gemma_4bit)"), or a call by the plain name it is imported as
    ("add_gemma_flags()").

    Raises: InvalidError where the file does not parse.
    """
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError) as error:
        raise InvalidError(
            f"{path} does not parse once patched: {error}",
            remedy="the patch is wrong there: correct it on the patched tree and export",
        ) from error
    there = _names(tree, "") if wanted else set()
    if any(symbol.startswith("-") or symbol.endswith("()") for symbol in wanted):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                there.add(str(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                there.add(f"{node.func.id}()")
    return tuple(symbol for symbol in wanted if symbol not in there)


def _names(node: ast.AST, prefix: str) -> set[str]:
    found: set[str] = set()
    for child in getattr(node, "body", ()):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            found.add(name)
            if not isinstance(child, ast.ClassDef):
                arguments = child.args
                every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
                found |= {f"{name}({argument.arg})" for argument in every}
                found |= {f"{prefix}{attribute}" for attribute in _given(child)}
            found |= _names(child, f"{name}.")
    return found


def _given(method: ast.AST) -> set[str]:
    """The attributes that it gives `self`."""
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
