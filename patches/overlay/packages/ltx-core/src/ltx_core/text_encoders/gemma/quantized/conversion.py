"""A Gemma root written, quantized or in bf16, in the layout of transformers and of the method."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.errors import GemmaOutputError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor, read_header
from ltx_core.text_encoders.gemma.quantized.key_names import plain_name
from ltx_core.text_encoders.gemma.quantized.meta_model import Slots, require_weights
from ltx_core.text_encoders.gemma.quantized.methods import Method
from ltx_core.text_encoders.gemma.quantized.plan import (
    Plan,
    PlannedTensor,
    Treatment,
    make_plan,
    require_as_stated,
)
from ltx_core.text_encoders.gemma.quantized.root import (
    CONFIG_NAME,
    INDEX_NAME,
    PACKED_CONFIG,
    find_model,
    read_config,
    read_shards,
    require_model,
    stated_methods,
)
from ltx_core.text_encoders.gemma.quantized.shard_writer import DEFAULT_METADATA, ShardWriter
from ltx_core.text_encoders.gemma.quantized.stream import loaded_parts, mapped

logger: logging.Logger = logging.getLogger(__name__)

_SHARD_BYTES = 2 * 1024**3  # a reader maps one shard at a time, so this bounds its file pages
_PARTIAL = ".partial"  # keeps an unfinished shard from matching upstream's model*.safetensors
_PACKED_SUFFIX = ".safetensors"  # upstream takes a file for a packed one by it
_LANGUAGE_MODEL = "language_model"
# Beside which files the tokenizer and the processor lie, by model type: upstream finds Gemma 3's by these names, and
# Gemma 4 comes without them.
_LANDMARKS = {"gemma3": ("tokenizer.model", "preprocessor_config.json")}
_OTHER_LANDMARKS = ("tokenizer.json", "processor_config.json")
_COMPANION_SUFFIXES = frozenset({".json", ".jinja", ".model", ".txt", ".md", ""})  # "" is LICENSE, NOTICE


@dataclass(frozen=True)
class Contents:
    """What a root is written from."""

    origin: str  # as errors name it
    config: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    values: Callable[[Iterable[PlannedTensor]], Iterator[tuple[PlannedTensor, torch.Tensor]]]
    companions: Mapping[str, Path]  # the tokenizer's and the processor's files, by name
    packed: Mapping[str, str] | None = None  # the metadata of a packed file, which becomes one; None: a folder


@dataclass(frozen=True)
class Conversion:
    """What a finished conversion has written."""

    output: Path
    shards: int
    bytes_before: int  # of the tensors read
    bytes_after: int  # of the shards written


def convert_root(gemma_root: Path, output: Path, method: Method, device: torch.device) -> Conversion:
    """Write the root quantized by `method` as the new `output`, which appears complete or not at all.

    A folder becomes a folder, a packed file a packed file. Weights are quantized on `device`, one tensor in memory at a
    time. Everything is checked before work begins.
    Raises: GemmaRootError, GemmaOutputError, BitsAndBytesUnavailable.
    """
    model = require_model(gemma_root)
    require_place([gemma_root], output, packed=gemma_root.is_file())
    config = read_config(model)
    require_unquantized(config, model)
    shards = read_shards(model)
    require_as_stated((), shards.tensors, str(model))
    packed = read_header(model).metadata if model.is_file() else None
    found = {} if model.is_file() else companions([gemma_root], config)
    return write_contents(Contents(str(model), config, shards.tensors, mapped, found, packed), output, method, device)


def write_contents(contents: Contents, output: Path, method: Method | None, device: torch.device) -> Conversion:
    """Write a Gemma as the new `output`, which appears complete or not at all; without a method in bf16.

    Raises: GemmaRootError, GemmaOutputError, BitsAndBytesUnavailable.
    """
    output = output.absolute()
    meta_model = described_model(contents.origin, contents.config)
    plan = _plan(contents, meta_model, method)
    if method is not None:
        method.require(device)
    config = _written_config(contents.config, method, meta_model)
    needed = sum(map(_planned_bytes, plan.tensors)) + sum(file.stat().st_size for file in contents.companions.values())
    with _staging(output, needed) as staging:
        if contents.packed is not None:
            metadata = {**contents.packed, PACKED_CONFIG: json.dumps(config)}
            _write_shard(staging / output.name, plan.tensors, contents, device, metadata)
            (staging / output.name).rename(output)
            written = [output]
        else:
            names = _write_shards(plan, contents, staging, device)
            for name, file in contents.companions.items():
                shutil.copyfile(file, staging / name)
            _publish(staging, output, names, config)
            written = [output / shard for shard in set(names.values())]
    return Conversion(
        output=output,
        shards=len(written),
        bytes_before=sum(tensor.nbytes for tensor in contents.tensors),
        bytes_after=sum(file.stat().st_size for file in written),
    )


def require_unquantized(config: Mapping[str, Any], model: Path) -> None:
    """The config does not say that the model is quantized. Raises: GemmaRootError."""
    if stated := stated_methods(dict(config), model):
        raise GemmaRootError(f"{model} is already quantized to {stated[0].label}", "use it as it is")


def _stored_name(name: str) -> str | None:
    """Every tensor keeps its name; a tied `lm_head` is not stored twice."""
    return None if name.endswith("lm_head.weight") else name


def require_place(inputs: Iterable[Path], output: Path, *, packed: bool) -> None:
    """`output` is not there yet, lies in none of the inputs, and is named for what it will be.

    Raises: GemmaOutputError.
    """
    # Upstream looks for shards and tokenizer recursively: a model inside a model would be mixed into it.
    if inside := next((path for path in inputs if output.resolve().is_relative_to(path.resolve())), None):
        raise GemmaOutputError(f"{output} lies inside {inside}", "give an output outside the Gemma root")
    if os.path.lexists(output):
        raise GemmaOutputError(f"{output} exists already", "remove it, or give another output")
    if packed and output.suffix != _PACKED_SUFFIX:
        raise GemmaOutputError(
            f"{output} is no name for a packed file", f"give an output that ends with {_PACKED_SUFFIX}"
        )


def described_model(origin: str, config: Mapping[str, Any]) -> torch.nn.Module:
    """The model that the config describes, without weights. Raises: GemmaRootError."""
    from transformers import CONFIG_MAPPING, AutoModelForImageTextToText  # noqa: PLC0415 - slow, a refusal does without

    if not config:
        raise GemmaRootError(f"{origin} has no {CONFIG_NAME}", "download it from the Gemma repository")
    try:
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)))
    except Exception as error:  # transformers fails with whatever a foreign config leads to
        raise GemmaRootError(
            f"the config of {origin} describes no image-text model that this transformers knows",
            "use the Gemma that LTX-2 is made for",
        ) from error


def _plan(contents: Contents, meta_model: torch.nn.Module, method: Method | None) -> Plan:
    """What becomes of each tensor; what is not the model's, as a packed file holds it, stays as it is.

    Raises: GemmaRootError if the shards are not those of the model.
    """
    slots = Slots.of(meta_model, plain_name)
    require_weights(slots, make_plan(contents.tensors, method, plain_name), contents.origin)
    plan = make_plan(contents.tensors, method, _stored_name)
    return replace(
        plan,
        tensors=tuple(
            replace(planned, treatment=Treatment.VERBATIM)
            if planned.treatment is Treatment.KEEP and plain_name(planned.stored.name) not in slots.tensors
            else planned
            for planned in plan.tensors
        ),
    )


def companions(roots: Sequence[Path], config: Mapping[str, Any]) -> dict[str, Path]:
    """What belongs beside the weights, by name, each from the first root that has it.

    Of a root the tokenizer's folder goes first, then the processor's, then the model's. Raises: GemmaRootError.
    """
    folders = []
    for name in _LANDMARKS.get(config.get("model_type", ""), _OTHER_LANDMARKS):
        landmark = next((found for root in roots for found in root.rglob(name)), None)
        if landmark is None:
            named = ", ".join(map(str, roots))
            raise GemmaRootError(f"no {name} lies under {named}", "download it from the Gemma repository")
        folders.append(landmark.parent)
    models = [model for root in roots if (model := find_model(root)) is not None]
    found: dict[str, Path] = {}
    for folder in (*folders, *models):
        for file in sorted(folder.iterdir()):
            is_weight = ".safetensors" in file.name or ".bin" in file.name
            if file.is_file() and file.suffix in _COMPANION_SUFFIXES and not is_weight and file.name[0] != ".":
                found.setdefault(file.name, file)
    found.pop(CONFIG_NAME, None)
    return found


def _planned_bytes(planned: PlannedTensor) -> int:
    """An upper bound of what a tensor takes in the output, its header entries included."""
    extra = 4096  # code tables of a quantized layer, header entries
    if planned.method is not None:
        return planned.method.most_bytes(planned.stored.shape) + extra
    if planned.treatment is Treatment.KEEP:
        return 2 * planned.stored.numel + extra
    return planned.stored.nbytes + extra


def _write_shards(plan: Plan, contents: Contents, staging: Path, device: torch.device) -> dict[str, str]:
    """Write the shards, under partial names; the final file name of each tensor."""
    groups = list(_grouped(plan.tensors))
    names: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        shard = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        written = _write_shard(staging / (shard + _PARTIAL), group, contents, device, DEFAULT_METADATA)
        names.update(dict.fromkeys(written, shard))
    return names


def _write_shard(
    file: Path,
    tensors: Sequence[PlannedTensor],
    contents: Contents,
    device: torch.device,
    metadata: dict[str, str],
) -> list[str]:
    """Write one file; the names of its tensors."""
    logger.info("Writing %s", file.name.removesuffix(_PARTIAL))
    used = tuple(planned for planned in tensors if planned.treatment is not Treatment.UNUSED)
    names = [name for planned in used for name in planned.part_names]
    with ShardWriter(file, names, metadata) as writer:
        for planned, tensor in contents.values(used):
            if planned.is_unchanged:  # goes from file to file, without a copy in memory
                writer.add(planned.stored.name, tensor)
                continue
            layer = planned.stored.name.removesuffix(planned.last_name)
            for name, part in loaded_parts(planned, tensor, torch.device("cpu"), device).items():
                writer.add(layer + name, part)
    return names


def _grouped(tensors: tuple[PlannedTensor, ...]) -> Iterator[list[PlannedTensor]]:
    group: list[PlannedTensor] = []
    size = 0
    for planned in tensors:
        if planned.treatment is Treatment.UNUSED:
            continue
        if group and size + _planned_bytes(planned) > _SHARD_BYTES:
            yield group
            group, size = [], 0
        group.append(planned)
        size += _planned_bytes(planned)
    yield group


def _written_config(config: Mapping[str, Any], method: Method | None, meta_model: torch.nn.Module) -> dict[str, Any]:
    stated = {key: "bfloat16" for key in ("dtype", "torch_dtype") if key in config}
    if method is None:
        return {**config, **stated}
    # transformers 5 compares them with the start of a module's full name, older releases with any part of it.
    parts = [name for name, _ in meta_model.model.named_children() if name != _LANGUAGE_MODEL]
    not_quantized = ["lm_head", *parts, *(f"model.{part}" for part in parts)]
    return {**config, **stated, "quantization_config": method.config(not_quantized)}


def _publish(staging: Path, output: Path, names: dict[str, str], config: dict[str, Any]) -> None:
    """Give the shards their names, write what makes them a model, then show the folder: one rename."""
    shards = sorted(set(names.values()))
    for shard in shards:
        (staging / (shard + _PARTIAL)).rename(staging / shard)
    total = sum((staging / shard).stat().st_size for shard in shards)
    index = {"metadata": {"total_size": total}, "weight_map": names}
    for name, content in ((INDEX_NAME, index), (CONFIG_NAME, config)):
        (staging / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    staging.rename(output)


@contextmanager
def _staging(output: Path, needed_bytes: int) -> Iterator[Path]:
    """A hidden folder beside `output`, emptied of what a killed run left, gone afterwards unless it was renamed.

    Locked, so that two runs never share it. Raises: GemmaOutputError.
    """
    staging = output.parent / f".{output.name}{_PARTIAL}"
    with _output_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(exist_ok=True)
        with _locked(staging, output):
            for left in staging.iterdir():
                left.unlink()
            try:
                free = shutil.disk_usage(staging).free
                if free < needed_bytes:
                    raise GemmaOutputError(
                        f"{output.parent} has {_gib(free)} free where {_gib(needed_bytes)} are needed",
                        "free some space, or give an output on another disk",
                    )
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(staging: Path, output: Path) -> Iterator[None]:
    folder = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(folder).st_ino != staging.stat().st_ino:  # a run that ended meanwhile has published what we hold
            raise BlockingIOError
        yield
    except BlockingIOError as error:
        raise GemmaOutputError(f"another run is writing {output}", "wait for it to end") from error
    finally:
        os.close(folder)


@contextmanager
def _output_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GemmaOutputError(
            f"{output} cannot be written ({error.strerror or error})",
            "check its disk's space and its folder's permissions",
        ) from error


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
