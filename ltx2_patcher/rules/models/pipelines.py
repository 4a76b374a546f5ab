"""What upstream's runnable scripts are and take, read from their source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from ltx2_patcher.values.errors import InvalidError, UsageError


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One runnable script of ltx_pipelines."""

    name: str  # "distilled"
    summary: str  # one line
    divisor: int | None  # width and height must be divisible by it; None where it takes no size
    size: tuple[int, int] | None  # width and height where none is given, likewise
    options: frozenset[str]  # all that it or the parsers it builds on define; "inputs" has no dash
    checkpoint: str  # the option that names a whole model
    parts: frozenset[str]  # options of the files it needs of a split model: "--video-vae-path"
    tells_length: bool  # without --num-frames it asks the model's duration head
    several_gpus: bool  # it spreads over all cards that it sees
    makes: str | None  # "video", "sound"; None where it writes neither to one file
    rounds_rate: bool  # it hands the rate of a video on without what stands behind the point


def parse_pipelines(sources: Mapping[str, bytes], shared: bytes) -> tuple[Pipeline, ...]:
    """The scripts among `sources` (module name -> source), by name.

    `shared` is the source of ltx_pipelines.utils.args, whose parsers most scripts build on, and of
    the quantization methods, whose flags those add.

    Raises: InvalidError where a source is no Python.
    """
    return _pipelines(tuple(sorted(sources.items())), shared)


# Whoever judges many requests asks the same of each.
@lru_cache(maxsize=8)
def _pipelines(sources: tuple[tuple[str, bytes], ...], shared: bytes) -> tuple[Pipeline, ...]:
    common = _parsed("utils.args", shared)
    trees = {name: _parsed(name, source) for name, source in sources}
    return tuple(
        _pipeline(name, tree, common, trees) for name, tree in trees.items() if _runnable(tree)
    )


def _pipeline(
    name: str, tree: ast.Module, common: ast.Module, trees: Mapping[str, ast.Module]
) -> Pipeline:
    imported = frozenset(_imported(tree))
    # A multi-GPU script runs the pipeline of another; so what that one needs, it needs.
    run = [trees[module] for module in sorted(imported) if module in trees]
    run = [tree, *(other for other in run if _runnable(other))]
    words = {word for each in run for word in _words(each)}
    own = frozenset(_options(tree))
    shared = _called(common, _words(tree)) if "utils.args" in imported else []
    options = own.union(*map(_options, shared))
    distilled = _DISTILLED in own or any(_asks_distilled(each) for each in run)
    divisor = next((divisor for each in run if (divisor := _divisor(each))), None)
    return Pipeline(
        name=name,
        summary=_summary(tree),
        divisor=divisor,
        size=_HQ_SIZE if divisor and _HQ in words else _SIZES.get(divisor),
        options=options,
        checkpoint=_DISTILLED if _DISTILLED in options and distilled else "--checkpoint-path",
        parts=frozenset(o for o, word in _PARTS.items() if word in words and o in options),
        tells_length="AutoDuration" in words,
        several_gpus=any(module.startswith("multigpu.") for module in imported),
        makes=next((kind for word, kind in _WRITERS.items() if word in words), None),
        rounds_rate=any(_rounds_rate(each) for each in run),
    )


_HQ = "LTX_2_3_HQ_PARAMS"
_SIZES: Mapping[int | None, tuple[int, int]] = {32: (768, 512), 64: (1536, 1024)}
_HQ_SIZE = (1920, 1088)
"""Upstream's defaults (utils/constants.py, PipelineParams: stage 1, stage 2, and its HQ preset)."""
_WRITERS = {"encode_video": "video", "encode_audio": "sound"}  # of utils.media_io
_DISTILLED = "--distilled-checkpoint-path"  # until 2026-03-04 one option serves every script
_PARTS = {
    # ModelPaths' accessors (utils/model_paths.py), and the block that takes the Gemma from it.
    "--transformer-path": "transformer()",
    "--text-encoder-path": "PromptEncoder",
    "--video-vae-path": "video_vae()",
    "--audio-vae-path": "audio_vae()",
}


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


def _asks_distilled(tree: ast.Module) -> bool:
    """Whether it calls upstream's parsers with `distilled=True`."""
    return any(
        isinstance(node, ast.keyword)
        and node.arg == "distilled"
        and isinstance(node.value, ast.Constant)
        and node.value.value is True
        for node in ast.walk(tree)
    )


def _rounds_rate(tree: ast.Module) -> bool:
    """Whether it says `int(fps)` or `int(src.fps)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "int":
            for given in node.args:
                if "fps" in (getattr(given, "id", None), getattr(given, "attr", None)):
                    return True
    return False


def _imported(tree: ast.Module) -> Iterator[str]:
    """The modules of ltx_pipelines that it imports from, "utils.args"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            yield (node.module or "").removeprefix(_PACKAGE)


_PACKAGE = "ltx_pipelines."


def _words(tree: ast.AST) -> Iterator[str]:
    """The names that it uses, and the methods that it calls without arguments, "name()"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            yield f"{node.func.attr}()"


def _called(shared: ast.Module, words: Iterable[str]) -> list[ast.stmt]:
    """What of a module runs where its functions among `words` are called: those, what they call,
    and what stands in none.
    """
    functions = {node.name: node for node in shared.body if isinstance(node, ast.FunctionDef)}
    found: dict[str, ast.stmt] = {}
    open_ = [functions[word] for word in words if word in functions]
    while open_:
        function = open_.pop()
        if function.name not in found:
            found[function.name] = function
            open_ += [functions[word] for word in _words(function) if word in functions]
    rest = [node for node in shared.body if not isinstance(node, ast.FunctionDef)]
    return [*rest, *found.values()]


def _options(tree: ast.AST) -> Iterator[str]:
    """What it adds to a parser, and each `Flag` of the overlay, which add_gemma_flags adds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (
            (isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument")
            or (isinstance(node.func, ast.Name) and node.func.id == "Flag")
        ):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
