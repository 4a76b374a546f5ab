"""Run a patched pipeline: check what it is asked for, then say how to start it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk, machine
from ltx2_patcher.boundaries.environment import describe
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.weights import read_header
from ltx2_patcher.jobs.inspect import inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.install import environment_python, source_paths
from ltx2_patcher.jobs.obtain import checkout_path
from ltx2_patcher.rules.pairing import (
    misfit_of_checkpoint,
    misfit_of_gemma,
    misfit_of_pair,
    misfit_of_scales,
)
from ltx2_patcher.rules.pipelines import Pipeline, parse_pipelines, pick
from ltx2_patcher.rules.request import Request, parse_request
from ltx2_patcher.rules.standing import judge
from ltx2_patcher.rules.variant import identify
from ltx2_patcher.values.errors import ConflictError, PatcherError, UsageError
from ltx2_patcher.values.model import Base, Standing
from ltx2_patcher.values.weights import Checkpoint, Lora, Upsampler

ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Where torch reads its allocator's settings, under the old name and the new."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to become."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]


def list_pipelines(store: Store, base: Base) -> tuple[Pipeline, ...]:
    """What the patched checkout can run. Raises: ConflictError where there is none."""
    folder = source_paths(store, base)[1] / "ltx_pipelines"
    sources = {path.stem: path.read_bytes() for path in folder.glob("*.py")}
    return parse_pipelines(sources, disk.read(folder / "utils/args.py") or b"")


def prepare(
    store: Store,
    base: Base,
    name: str,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    python: Path | None = None,
    gpu: int | None = None,
) -> Launch:
    """Everything that can be told before a model is loaded holds; how to start the pipeline.

    `variables` is the environment to start from. `python` names another environment than the base's
    own, `gpu` a card by nvidia-smi's index.

    Raises: UsageError for arguments that can't work; ConflictError without a patched checkout or an
    environment, or for weights that don't go together; InvalidError for broken weights.
    """
    group = _patched_group(store, base)
    pipeline = pick(list_pipelines(store, base), name)
    request = parse_request(pipeline, arguments)
    interpreter = python or environment_python(store, base)
    if not request.asks_help:
        _check_files(request)
        needs_bitsandbytes = _check_weights(request, base, store.bases(), group)
        _check_environment(interpreter, needs_bitsandbytes=needs_bitsandbytes)
    return Launch(
        argv=(str(interpreter.absolute()), "-m", f"ltx_pipelines.{pipeline.name}", *arguments),
        variables=_variables(variables, source_paths(store, base), gpu),
    )


def _patched_group(store: Store, base: Base) -> str | None:
    """The last group that is in; None where the user's edits keep that from being told."""
    tree = checkout_path(store, base)
    source_paths(store, base)
    lock = store.lock(base.name)
    judgement = judge(lock, disk.blob_ids(tree, lock.paths))
    if judgement.standing is Standing.UPSTREAM:
        raise ConflictError(f"{tree} is not patched", remedy="run `make patch`")
    return judgement.group


def _check_files(request: Request) -> None:
    for option, name in request.files:
        path = _path(name)
        with disk.translated(path):
            if not path.is_file():
                raise UsageError(f"{option}: there is no file {path}", remedy="check the path")
    if request.output is not None:
        folder = _path(request.output).absolute().parent
        # Upstream opens it only once the clip is rendered.
        if not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
            raise UsageError(
                f"--output-path: {folder} is no folder that you can write to",
                remedy="make it, or choose another place for the clip",
            )


def _check_weights(request: Request, base: Base, bases: Sequence[Base], group: str | None) -> bool:
    """Whether bitsandbytes is needed.

    Without a checkpoint it is no pipeline, and the script says itself what it takes.
    """
    for option, name in request.files:
        _check_kind(option, _path(name))
    if request.checkpoint is None:
        return False
    checkpoint = inspect_checkpoint(_path(request.checkpoint))
    _refuse(misfit_of_checkpoint(checkpoint, base, bases, request.checkpoint))
    _refuse(misfit_of_scales(checkpoint, request.quantization, group))
    if request.gemma_root is None:
        return False
    gemma = inspect_gemma(_path(request.gemma_root))
    _refuse(misfit_of_gemma(gemma, request.gemma_flag, request.gemma_root))
    _refuse(misfit_of_pair(checkpoint, gemma))
    return bool(request.gemma_flag or gemma.quantization)


def _refuse(misfit: PatcherError | None) -> None:
    if misfit is not None:
        raise misfit


def _check_kind(option: str, path: Path) -> None:
    if path.suffix != ".safetensors":
        return
    found = identify(read_header(path), str(path))
    wrong_upsampler = option == "--spatial-upsampler-path" and not isinstance(found, Upsampler)
    wrong_lora = "lora" in option and isinstance(found, Checkpoint | Upsampler)
    if wrong_upsampler or wrong_lora:
        kind = "LoRA" if isinstance(found, Lora) else type(found).__name__.lower()
        raise UsageError(f"{option}: {path} is a {kind}", remedy="check which file goes where")


def _check_environment(python: Path, *, needs_bitsandbytes: bool) -> None:
    installed = describe(python).installed()
    wanted = ("torch", "bitsandbytes") if needs_bitsandbytes else ("torch",)
    for name in wanted:
        if name not in installed:
            raise ConflictError(
                f"{name} is not installed in the environment of {python}",
                remedy=f"run `ltx2-patcher install --python {python}`, or `make install`",
            )


def _variables(
    given: Mapping[str, str], sources: Sequence[Path], gpu: int | None
) -> dict[str, str]:
    path = [str(folder) for folder in sources]
    if before := given.get("PYTHONPATH"):
        path.append(before)
    variables = {**given, "PYTHONPATH": os.pathsep.join(path)}
    if machine.has_nvidia() and not any(name in given for name in ALLOCATOR):
        # Stage 2 allocates other sizes than stage 1; without it fragmentation takes 1 GiB and more.
        variables[ALLOCATOR[0]] = "expandable_segments:True"
    if gpu is not None and (card := machine.gpu(gpu)):
        variables |= card.variables
    return variables


def _path(name: str) -> Path:
    return Path(name).expanduser()
