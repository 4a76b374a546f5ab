"""Run a patched pipeline: check what it is asked for, then say how to start it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import disk, machine
from ltx2_patcher.boundaries.environment import describe
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_python, source_paths
from ltx2_patcher.jobs.launch.pipelines import list_pipelines
from ltx2_patcher.jobs.models.inspect import described, inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.abilities import folds_scales
from ltx2_patcher.rules.models.budget import savings_of
from ltx2_patcher.rules.models.capability import misfit_of_cards, needs_capability
from ltx2_patcher.rules.models.pairing import (
    misfit_of_checkpoint,
    misfit_of_encoder,
    misfit_of_enhancer,
    misfit_of_gemma,
    misfit_of_pair,
    misfit_of_part,
    misfit_of_scales,
    misfit_of_upsampler,
)
from ltx2_patcher.rules.models.pipelines import Pipeline, pick
from ltx2_patcher.rules.models.request import Request, parse_request
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, PatcherError, UsageError
from ltx2_patcher.values.series import Standing
from ltx2_patcher.values.weights import Checkpoint, Foreign, Lora, ModelPart, Upsampler

ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Where torch reads its allocator's settings, under the old name and the new."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to become."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]


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
        _check_card(request.quantization, gpu)
        _check_files(request)
        _check_kinds(request)
        folded = folds_scales(base, store.lock(base.name), group)
        quantized = _check_weights(request, pipeline, base, store.bases(), folded=folded)
        _check_environment(interpreter, pipeline, needs_bitsandbytes=quantized)
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


def _check_card(quantization: str | None, gpu: int | None) -> None:
    """Which of several cards a script takes is told by `gpu` alone, so without it one must do."""
    if needs_capability(quantization):
        chosen = machine.gpu(gpu) if gpu is not None else None
        cards = (chosen,) if chosen else machine.gpus()
        _refuse(misfit_of_cards(quantization, [(card.name, card.capability) for card in cards]))


def _check_files(request: Request) -> None:
    for option, name in (*request.files, *request.folders):
        path = _path(name)
        with disk.translated(path):
            folder_serves = (option, name) in request.folders and path.is_dir()
            if not path.is_file() and not folder_serves:
                raise UsageError(f"{option}: there is no file {path}", remedy="check the path")
    if request.output is not None:
        folder = _path(request.output).absolute().parent
        # Upstream opens it only once the clip is rendered.
        if not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
            raise UsageError(
                f"--output-path: {folder} is no folder that you can write to",
                remedy="make it, or choose another place for the clip",
            )


def _check_kinds(request: Request) -> None:
    """No file stands where one of another kind belongs."""
    for option, name in request.files:
        path = _path(name)
        wanted = _KINDS.get(option)
        if path.suffix != ".safetensors" or wanted is None:
            continue
        found = inspect(path)
        # A LoRA of some trainer may have names that we don't know.
        if not isinstance(found, wanted) and not (wanted is Lora and isinstance(found, Foreign)):
            raise UsageError(
                f"{option}: {path} is {described(found)}", remedy="check which file goes where"
            )


_KINDS = {
    "--lora": Lora,
    "--loras": Lora,
    "--distilled-lora": Lora,
    "--detailing-lora": Lora,
    "--hdr-lora": Lora,
    "--spatial-upsampler-path": Upsampler,
}
_PART_KINDS = {
    "--video-vae-path": "video VAE",
    "--audio-vae-path": "audio VAE",
    "--duration-head-path": "duration head",
}


def _check_weights(
    request: Request, pipeline: Pipeline, base: Base, bases: Sequence[Base], *, folded: bool
) -> bool:
    """Whether bitsandbytes is needed.

    Without a transformer it is no pipeline, and the script says itself what it takes.
    """
    if request.transformer is None:
        return False
    checkpoint = _checkpoint(request, base, bases)
    way = " ".join(savings_of(pipeline.options).cast)
    _refuse(misfit_of_scales(checkpoint, request.quantization, way, folded=folded))
    _check_beside(request, checkpoint)
    has_head = _check_parts(request, base, bases) or checkpoint.elements_of("duration head") > 0
    if pipeline.tells_length and not request.frames and not has_head:
        raise UsageError(
            f"{pipeline.name} needs --num-frames: {request.transformer} has no duration head to "
            "tell the clip's length",
            remedy="give --num-frames, for example 121",
        )
    return _check_gemmas(request, checkpoint, base, bases)


def _checkpoint(request: Request, base: Base, bases: Sequence[Base]) -> Checkpoint:
    name = request.transformer or ""
    checkpoint = inspect_checkpoint(_path(name))
    if checkpoint.whole and "--video-vae-path" in request.split:  # takes the place of its own
        kept = tuple(key for key in checkpoint.missing if not key.startswith("vae."))
        checkpoint = replace(checkpoint, missing=kept)
    _refuse(misfit_of_checkpoint(checkpoint, base, bases, name))
    if request.checkpoint is not None and not checkpoint.whole:
        raise UsageError(
            f"{name} is the transformer of {checkpoint.variant} alone",
            remedy="give it with --transformer-path, beside the files of the other parts",
        )
    return checkpoint


def _check_beside(request: Request, checkpoint: Checkpoint) -> None:
    for option, name in request.files:
        if option == "--spatial-upsampler-path" and isinstance(
            upsampler := inspect(_path(name)), Upsampler
        ):
            _refuse(misfit_of_upsampler(checkpoint, upsampler, name))


def _check_parts(request: Request, base: Base, bases: Sequence[Base]) -> bool:
    """Whether there is a duration head among them."""
    for option, kind in _PART_KINDS.items():
        if (name := request.split.get(option)) is None:
            continue
        found = inspect(_path(name))
        # A whole checkpoint holds each part, so upstream takes it for any.
        if isinstance(found, Checkpoint) and found.whole:
            continue
        if not isinstance(found, ModelPart) or found.kind != kind:
            raise UsageError(
                f"{option}: {name} is {described(found)}", remedy="check which file goes where"
            )
        _refuse(misfit_of_part(found, base, bases, name))
    return "--duration-head-path" in request.split


def _check_gemmas(
    request: Request, checkpoint: Checkpoint, base: Base, bases: Sequence[Base]
) -> bool:
    """Whether one of them is or will be quantized."""
    if request.text_encoder is None:
        return False
    option, name = request.text_encoder
    encoder = inspect_gemma(_path(name))
    _refuse(misfit_of_gemma(encoder, request.gemma_flag, base, bases, name))
    _refuse(misfit_of_encoder(encoder, name))
    _refuse(misfit_of_pair(checkpoint, encoder))
    gemmas = [encoder]
    if request.enhancer_root is not None:
        option, name = "--prompt-enhancer-gemma-root", request.enhancer_root
        gemmas.append(inspect_gemma(_path(name)))
        _refuse(misfit_of_gemma(gemmas[-1], request.gemma_flag, base, bases, name))
    if request.enhances:
        _refuse(misfit_of_enhancer(gemmas[-1], option, name))
    return bool(request.gemma_flag or any(gemma.quantization for gemma in gemmas))


def _refuse(misfit: PatcherError | None) -> None:
    if misfit is not None:
        raise misfit


def _check_environment(python: Path, pipeline: Pipeline, *, needs_bitsandbytes: bool) -> None:
    installed = describe(python).installed()
    wanted = ("torch", "bitsandbytes") if needs_bitsandbytes else ("torch",)
    for name in wanted:
        if name not in installed:
            raise ConflictError(
                f"{name} is not installed in the environment of {python}",
                remedy=f"run `ltx2-patcher install --python {python}`, or `make install`",
            )
    if pipeline.several_gpus and "ltx-kernels" not in installed:
        raise ConflictError(
            f"{pipeline.name} runs on several GPUs and needs ltx-kernels, which is not installed "
            f"in the environment of {python}",
            remedy="build upstream's packages/ltx-kernels into it, or run "
            f"{pipeline.name.removesuffix('_mgpu')} on one GPU",
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
    return disk.expanded(name)
