"""What upstream's runnable scripts are and take, read from their source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ltx2_patcher.values.errors import InvalidError, UsageError


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One runnable script of ltx_pipelines."""

    name: str  # "distilled"
    summary: str  # one line
    divisor: int | None  # width and height must be divisible by it; None where it takes no size
    options: frozenset[str]  # every long option that it or the shared parsers define

    @property
    def fp8_option(self) -> str:
        """How it is asked to keep the transformer in fp8: upstream's first way was a switch."""
        return "--enable-fp8" if "--enable-fp8" in self.options else "--quantization fp8-cast"


def parse_pipelines(sources: Mapping[str, bytes], shared: bytes) -> tuple[Pipeline, ...]:
    """The scripts among `sources` (module name -> source), by name.

    `shared` is the source of ltx_pipelines.utils.args, whose parsers the scripts build on.

    Raises: InvalidError where a source is no Python.
    """
    common = frozenset(_options(_parsed("utils.args", shared)))
    trees = {name: _parsed(name, source) for name, source in sorted(sources.items())}
    return tuple(
        Pipeline(name, _summary(tree), _divisor(tree), common | frozenset(_options(tree)))
        for name, tree in trees.items()
        if _runnable(tree)
    )


def pick(pipelines: tuple[Pipeline, ...], name: str) -> Pipeline:
    """The pipeline of that name. Raises: UsageError with near names where there is none."""
    known = {pipeline.name: pipeline for pipeline in pipelines}
    wanted = name.removeprefix("ltx_pipelines.").removesuffix(".py").replace("-", "_")
    if wanted in known:
        return known[wanted]
    near = get_close_matches(wanted, known, cutoff=0.5) or list(known)
    raise UsageError(f"no pipeline {name!r}", remedy=f"choose {' or '.join(near)}")


def _parsed(name: str, source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise InvalidError(
            f"ltx_pipelines.{name} does not parse: {error}",
            remedy="undo the edit (`ltx2-patcher status` names edited files)",
        ) from error


def _runnable(tree: ast.Module) -> bool:
    """Whether it has an `if __name__ == "__main__":`."""
    return any(
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        for node in tree.body
    )


def _summary(tree: ast.Module) -> str:
    """The first line of the pipeline class's docstring, or of the module's."""
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and "Pipeline" in n.name]
    texts = [ast.get_docstring(node) for node in classes] + [ast.get_docstring(tree)]
    return next((text.splitlines()[0] for text in texts if text), "")


def _divisor(tree: ast.Module) -> int | None:
    """64 where upstream asserts a two-stage resolution, 32 for one stage (assert_resolution)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "is_two_stage":
            return 64 if isinstance(node.value, ast.Constant) and node.value.value else 32
    return None


def _options(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "add_argument"
        ):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
