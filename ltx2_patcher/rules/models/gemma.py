"""What a Gemma is, a root or a packed file: its size, its quantization, whether it is complete."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from ltx2_patcher.rules.models.architecture import count, section
from ltx2_patcher.rules.models.components import components, gemma_components
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys, size_of
from ltx2_patcher.rules.models.precision import precision_of
from ltx2_patcher.rules.models.source import quantized_gemma
from ltx2_patcher.rules.models.variant import projection_width
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import GemmaKind, GemmaRoot, Header, Source, Tensor

INDEX = "model.safetensors.index.json"

_KINDS: dict[str, GemmaKind] = {
    "gemma3": "gemma3",
    "gemma4_unified": "gemma4_unified",
    "gemma4": "gemma4",
}
_NUMBERED = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
# transformers' layout from 4.52 on -> the published one, which upstream's key operations take.
_NEWER_GEMMA_3 = {
    "model.language_model.": "language_model.model.",
    "model.vision_tower.": "vision_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
# ComfyUI's layout, of packed files (upstream 400fd31, gemma_assets.py) -> the published one.
_COMFY_GEMMA_4 = {
    "model.layers.": "model.language_model.layers.",
    "model.embed_tokens.": "model.language_model.embed_tokens.",
    "model.norm.": "model.language_model.norm.",
    "vision_model.": "model.vision_embedder.",
    "multi_modal_projector.": "model.embed_vision.",
    "audio_projector.": "model.embed_audio.",
}
# bitsandbytes keeps a 4-bit weight as U8 with its state beside it, an 8-bit one as I8 with the
# module's SCB (bitsandbytes/nn/modules.py, Linear4bit and Linear8bitLt `_save_to_state_dict`).
_LINEAR = re.compile(
    r"(?:language_model\.model|model\.language_model)\.layers\.\d+\.\w+\.\w+_proj\.weight"
)
_STATE = re.compile(r"(.+\.weight)\.quant_state\.bitsandbytes__(nf4|fp4)")
# Of a packed file (upstream 400fd31, gemma_assets.py).
_PACKED_CONFIG = "gemma_config"
_PACKED_TOKENIZER = "tokenizer_json"
_PACKED_ASSET = "hf_asset__"


@dataclass(frozen=True, slots=True)
class GemmaFiles:
    """The files of a root, headers only; or what a packed file holds in their place."""

    config: bytes
    index: bytes | None  # model.safetensors.index.json
    shards: Mapping[str, Header]  # file name -> header, of the folder with the model files
    beside: frozenset[str]  # the names of all other files below the root
    packed: bool
    processor: bytes | None = None  # processor_config.json, where it is a file


def packed_files(header: Header, origin: str) -> GemmaFiles | None:
    """The files that the packed file `origin` holds; None where it is none."""
    config = header.metadata.get(_PACKED_CONFIG)
    if config is None:
        return None
    names = (name for name in header.tensors if name.startswith(_PACKED_ASSET))
    # Older packs keep the small ones in the metadata.
    assets = {name.removeprefix(_PACKED_ASSET) for name in names} | header.metadata.keys()
    if _PACKED_TOKENIZER in header.tensors:
        assets.add("tokenizer.json")
    shards = {PurePath(origin).name: header}
    return GemmaFiles(config.encode(), None, shards, frozenset(assets), packed=True)


_TEXT_ALONE = "gemma3_text"
"""The model_type of what transformers saves as a Gemma3ForCausalLM: no vision tower."""


def source_in(files: GemmaFiles, origin: str) -> Source | None:
    """What the root holds that no pipeline takes as it is: a Gemma without its vision tower, or one
    that ComfyUI quantized; None where it holds neither.

    Raises: InvalidError where its config can't be read.
    """
    config = _json(files.config, origin)
    tensors = {n: t for shard in files.shards.values() for n, t in shard.tensors.items()}
    marks = {layer: mark for s in files.shards.values() for layer, mark in s.marks.items()}
    header = Header(tensors, {}, marks)
    if config.get("model_type") == _TEXT_ALONE:
        width, layers = config.get("hidden_size"), count(config, "num_hidden_layers")
        size = size_of("Gemma 3", width if type(width) is int else 0, layers)
        codes = precision_of(header, "")
        kept = components(tensors, (("language model", ""),))
        name, layout = f"Gemma 3 {size}", "a root for text alone"
        return Source("gemma", name, layout, codes, kept, header.bytes)
    if (comfy := quantized_gemma(header)) is None:
        return None
    known = identify_gemma(files, origin)
    codes = precision_of(header, "")
    return Source("gemma", known.name, comfy, codes, known.components, known.bytes)


def identify_gemma(files: GemmaFiles, origin: str) -> GemmaRoot:
    """What the root is; what keeps it from loading stands in `missing` and `faults`.

    Raises: InvalidError where its config or index is not what it must be, or it is no Gemma that
    any upstream takes.
    """
    source = f"{_PACKED_CONFIG} of {origin}" if files.packed else f"{origin}/config.json"
    config = _json(files.config, source)
    text = section(config, "text_config")
    kind = _KINDS.get(str(config.get("model_type")))
    if not text or kind is None:
        raise InvalidError(
            f"{origin} holds a {config.get('model_type')!a} model, "
            "not a Gemma 3 or 4 with vision that LTX-2 takes",
            remedy="give the root of google/gemma-3-12b-it (a license to accept and a token), "
            "for LTX-2.5 the text encoder that is published with it",
        )
    width, layers = text.get("hidden_size"), count(text, "num_hidden_layers")
    if type(width) is not int:
        raise InvalidError(
            f"{source} names no hidden_size",
            remedy="download it again, from the model's own page",
        )
    stored = {
        name: tensor for shard in files.shards.values() for name, tensor in shard.tensors.items()
    }
    tensors = {_published(name, kind): tensor for name, tensor in stored.items()}
    quantization, detail = _quantization(config, tensors)
    version = config.get("gemma_version")
    family = "Gemma 3" if kind == "gemma3" else "Gemma 4"
    return GemmaRoot(
        kind=kind,
        size=size_of(family, width, layers),
        width=width,
        layers=layers,
        version=version if isinstance(version, str) else None,
        packed=files.packed,
        quantization=quantization,
        detail=detail,
        newer_layout=kind == "gemma3" and any(n.startswith(tuple(_NEWER_GEMMA_3)) for n in stored),
        shards=len(files.shards),
        linear_elements=sum(t.elements for n, t in tensors.items() if _LINEAR.fullmatch(n)),
        projection_width=projection_width(stored),
        components=gemma_components(tensors),
        beside=files.beside,
        nests_image_processor=files.packed or _nests_image_processor(files.processor),
        missing=tuple(sorted(_missing(gemma_keys(config), tensors))),
        faults=tuple(_faults(files, origin)),
        bytes=sum(header.bytes for header in files.shards.values()),
    )


def _published(name: str, kind: GemmaKind) -> str:
    layout = {"gemma3": _NEWER_GEMMA_3, "gemma4_unified": _COMFY_GEMMA_4}.get(kind, {})
    for other, published in layout.items():
        if name.startswith(other):
            return published + name.removeprefix(other)
    return name


def _missing(expected: frozenset[str], tensors: Mapping[str, Tensor]) -> set[str]:
    """Names that are not there, and what a packed weight needs beside it."""
    lacking = set(expected - tensors.keys())
    stated = {match[1] for name in tensors if (match := _STATE.fullmatch(name))}
    for name in expected & tensors.keys():
        if tensors[name].dtype == "U8" and name not in stated:
            lacking.add(f"{name}.quant_state.bitsandbytes__*")
        elif tensors[name].dtype == "I8" and f"{name.removesuffix('weight')}SCB" not in tensors:
            lacking.add(f"{name.removesuffix('weight')}SCB")
    return lacking


def _quantization(
    config: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> tuple[Literal["4bit", "8bit"] | None, str]:
    if packed := {match[2] for name in tensors if (match := _STATE.fullmatch(name))}:
        double = any(name.endswith(".weight.nested_absmax") for name in tensors)
        twice = "double" if double else "single"
        return "4bit", f"{'/'.join(sorted(packed))}, {twice} quantization"
    if any(name.endswith(".SCB") for name in tensors):
        return "8bit", "LLM.int8"
    if other := section(config, "quantization_config").get("quant_method"):
        return None, f"quantized by {other!a}"
    floats = {t.dtype.lower() for n, t in tensors.items() if n.endswith(".weight")}
    return None, "/".join(sorted(floats))


def _faults(files: GemmaFiles, origin: str) -> list[str]:
    faults = []
    if files.index is not None:
        # Names come from a file of others and go to a terminal: only what prints as itself counts.
        placed = {
            name: shard
            for name, shard in section(
                _json(files.index, f"{origin}/{INDEX}"), "weight_map"
            ).items()
            if name.isprintable() and isinstance(shard, str) and shard.isprintable()
        }
        wanted = set(placed.values())
        faults += [f"shard {s} is missing" for s in sorted(wanted - files.shards.keys())]
        astray = [
            name
            for name, shard in placed.items()
            if shard in files.shards and name not in files.shards[shard].tensors
        ]
        if astray:
            faults.append(f"{astray[0]} is not in the shard that the index names for it")
        # Upstream loads every safetensors file of the folder, whatever the index says.
        strays = sorted(files.shards.keys() - wanted)
        faults += [
            f"{stray} is none of the index's shards, yet would be loaded" for stray in strays
        ]
    else:
        numbered = [match for name in files.shards if (match := _NUMBERED.search(name))]
        for total in {int(match[2]) for match in numbered}:
            there = {int(match[1]) for match in numbered if int(match[2]) == total}
            lost = (number for number in range(1, total + 1) if number not in there)
            faults += [f"shard {number} of {total} is missing" for number in lost]
    return faults


def _nests_image_processor(processor: bytes | None) -> bool:
    """Whether processor_config.json describes it too, as transformers writes it from 5.0 on."""
    try:
        found = json.loads(processor or b"{}")
    except (ValueError, RecursionError):
        return False  # upstream says itself what it can't read there
    return isinstance(found, dict) and isinstance(found.get("image_processor"), dict)


def _json(data: bytes, origin: str) -> dict[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(origin) from error
    if not isinstance(found, dict):
        raise _unreadable(origin)
    return found


def _unreadable(origin: str) -> InvalidError:
    return InvalidError(
        f"{origin} can't be read as JSON", remedy="download it again, from the model's own page"
    )
