"""A quantized Gemma root written from a bf16 one, in the layout of transformers and bitsandbytes."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.backend import require_bitsandbytes
from ltx_core.text_encoders.gemma.quantized.errors import GemmaOutputError, GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.mode import Mode
from ltx_core.text_encoders.gemma.quantized.plan import (
    Plan,
    PlannedTensor,
    Treatment,
    make_plan,
    older_spelling,
    part_names,
    require_as_stated,
)
from ltx_core.text_encoders.gemma.quantized.root import (
    CONFIG_NAME,
    INDEX_NAME,
    prequantized_mode,
    read_config,
    read_shards,
    require_model_folder,
)
from ltx_core.text_encoders.gemma.quantized.shard_writer import ShardWriter
from ltx_core.text_encoders.gemma.quantized.shell import Blank, require_weights
from ltx_core.text_encoders.gemma.quantized.stream import stream

logger: logging.Logger = logging.getLogger(__name__)

_SHARD_BYTES = 2 * 1024**3  # a reader maps one shard at a time, so this bounds its file pages
_PARTIAL = ".partial"  # keeps an unfinished shard from matching upstream's model*.safetensors
_NOT_QUANTIZED = ["lm_head", "vision_tower", "multi_modal_projector"]  # by transformers' llm_int8_skip_modules
_TOKENIZER, _PROCESSOR = "tokenizer.model", "preprocessor_config.json"  # upstream finds both by these names
_COMPANION_SUFFIXES = frozenset({".json", ".jinja", ".model", ".txt", ".md", ""})  # "" is LICENSE, NOTICE


@dataclass(frozen=True)
class Conversion:
    """What a finished conversion has written."""

    output: Path
    shards: int
    bytes_before: int  # of the tensors read
    bytes_after: int  # of the shards written


def convert_root(gemma_root: Path, output: Path, mode: Mode, device: torch.device) -> Conversion:
    """Write the root quantized to `mode` as the new folder `output`, which appears complete or not at all.

    Weights are quantized on `device`, one tensor in memory at a time. Everything is checked before work begins.
    Raises: GemmaRootError, GemmaOutputError, BitsAndBytesUnavailable.
    """
    output = output.absolute()
    _require_apart(gemma_root, output)
    folder = require_model_folder(gemma_root)
    config = read_config(folder)
    if (stored := prequantized_mode(config, folder)) is not None:
        raise GemmaRootError(f"{folder} is already quantized to {stored.value}", "use it as it is")
    shards = read_shards(folder)
    require_as_stated(None, shards.tensors, str(folder))
    plan = make_plan(shards.tensors, mode, _stored_name)
    _require_model(folder, config, shards.tensors, mode)
    companions = _companions(gemma_root, folder)
    require_bitsandbytes(mode, device)
    needed = sum(map(_planned_bytes, plan.tensors)) + sum(file.stat().st_size for file in companions.values())
    with _staging(output, needed) as staging:
        names = _write_shards(plan, staging, device)
        for name, file in companions.items():
            shutil.copyfile(file, staging / name)
        _publish(staging, output, names, _quantized_config(config, mode))
    return Conversion(
        output=output,
        shards=len(set(names.values())),
        bytes_before=sum(tensor.nbytes for tensor in shards.tensors),
        bytes_after=sum((output / shard).stat().st_size for shard in set(names.values())),
    )


def _stored_name(name: str) -> str | None:
    """Every tensor keeps its name; a tied `lm_head` is not stored twice."""
    return None if name.endswith("lm_head.weight") else name


def _require_apart(gemma_root: Path, output: Path) -> None:
    # Upstream looks for shards and tokenizer recursively: a model inside a model would be mixed into it.
    if output.resolve().is_relative_to(gemma_root.resolve()):
        raise GemmaOutputError(f"{output} lies inside {gemma_root}", "give an output outside the Gemma root")
    if os.path.lexists(output):
        raise GemmaOutputError(f"{output} exists already", "remove it, or give another output")


def _require_model(folder: Path, config: dict[str, Any], tensors: tuple[StoredTensor, ...], mode: Mode) -> None:
    """The shards are those of the model that config.json describes. Raises: GemmaRootError."""
    from transformers import AutoConfig, AutoModelForImageTextToText  # noqa: PLC0415 - slow, a refusal does without

    if not config:
        raise GemmaRootError(f"{folder} has no {CONFIG_NAME}", "download it from the Gemma repository")
    try:
        with torch.device("meta"):
            shell = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    except Exception as error:  # transformers fails with whatever a foreign config leads to
        raise GemmaRootError(
            f"{folder / CONFIG_NAME} describes no image-text model that this transformers knows",
            "use the Gemma that LTX-2 is made for",
        ) from error
    require_weights(Blank.of(shell, older_spelling), make_plan(tensors, mode, older_spelling), str(folder))


def _companions(gemma_root: Path, model_folder: Path) -> dict[str, Path]:
    """What lies beside the weights, by name: the tokenizer's folder first, then the processor's, then the model's."""
    folders = []
    for name in (_TOKENIZER, _PROCESSOR):
        found = next(gemma_root.rglob(name), None)
        if found is None:
            raise GemmaRootError(f"no {name} lies under {gemma_root}", "download it from the Gemma repository")
        folders.append(found.parent)
    companions: dict[str, Path] = {}
    for folder in (*folders, model_folder):
        for file in sorted(folder.iterdir()):
            is_weight = ".safetensors" in file.name or ".bin" in file.name
            if file.is_file() and file.suffix in _COMPANION_SUFFIXES and not is_weight and file.name[0] != ".":
                companions.setdefault(file.name, file)
    companions.pop(CONFIG_NAME, None)
    return companions


def _planned_bytes(planned: PlannedTensor) -> int:
    """An upper bound of what a tensor takes in the output, its header entries included."""
    numel = planned.stored.numel
    extra = 4096  # code tables of a 4-bit layer, header entries
    if planned.treatment is Treatment.NF4:
        return numel // 2 + numel // 64 + numel // 4096 + extra
    if planned.treatment is Treatment.INT8:
        return numel + 4 * planned.stored.shape[0] + extra
    if planned.treatment is Treatment.KEEP:
        return 2 * numel + extra
    return planned.stored.nbytes + extra


def _write_shards(plan: Plan, staging: Path, device: torch.device) -> dict[str, str]:
    """Write the quantized shards, under partial names; the final file name of each tensor."""
    groups = list(_grouped(plan.tensors))
    names: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        shard = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        logger.info("Writing %s", shard)
        announced = [name for planned in group for name in part_names(planned)]
        with ShardWriter(staging / (shard + _PARTIAL), announced) as writer:
            for planned, parts in stream(Plan(tuple(group), ()), torch.device("cpu"), device):
                layer = planned.stored.name.rpartition(".")[0]
                for name, part in parts.items():
                    writer.add(f"{layer}.{name}", part)
        names.update(dict.fromkeys(announced, shard))
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


def _quantized_config(config: dict[str, Any], mode: Mode) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    if mode is Mode.NF4:
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=_NOT_QUANTIZED,
        )
    else:
        settings = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=_NOT_QUANTIZED)
    stated = {key: "bfloat16" for key in ("dtype", "torch_dtype") if key in config}
    return {**config, **stated, "quantization_config": settings.to_dict()}


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
