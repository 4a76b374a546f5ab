"""A Gemma of any layout written as a root that upstream and transformers open, in bf16 or quantized.

What people have: a file of ComfyUI's (bf16, fp8, nvfp4 among others), GGUF files of the language model and of the
vision tower, a root that was tuned and lacks this or that. Each tensor and each file beside the weights comes from the
first input that has it, so a whole root behind the others completes them, or a file packed with its settings.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.conversion import (
    Contents,
    Conversion,
    companions,
    described_model,
    require_place,
    require_unquantized,
    write_contents,
)
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.key_names import plain_name
from ltx_core.text_encoders.gemma.quantized.meta_model import Slots
from ltx_core.text_encoders.gemma.quantized.methods import METHODS, Method
from ltx_core.text_encoders.gemma.quantized.plan import PlannedTensor
from ltx_core.text_encoders.gemma.quantized.root import PACKED_CONFIG, find_model, read_config, read_shards
from ltx_core.weight_files.gemma_names import GGUF_GEMMAS, GgufGemma, hub_name_of_safetensors
from ltx_core.weight_files.gguf_file import GgufWeights, files_of, is_gguf
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.markers import HEADER_KEY
from ltx_core.weight_files.safetensors_weights import SafetensorsWeights
from ltx_core.weight_files.stored import StoredTensors
from ltx_core.weight_files.weights import Layout, Weight

TARGETS: Mapping[str, Method | None] = {
    "bf16": None,
    **{method.label: method for method in METHODS if method.flag is not None},
}
"""What a Gemma is written as, by what the command line calls it."""

_KINDS = ("gemma3", "gemma4_unified", "gemma4")  # with all that a pipeline needs of one
_GEMMA_3 = "gemma3"
_FLOATS = {"F32": 4, "F16": 2, "BF16": 2}  # bytes of a value
_EMBEDDING = "embed_tokens.weight"
_EVERY_GEMMA = ".layers.0.post_feedforward_layernorm.weight"  # in every layout of safetensors
_PIPELINE = "model_index.json"
_ARCHITECTURE = "general.architecture"
_COMPLETE = (
    "give a folder of the same Gemma behind it, such as google/gemma-3-12b-it-qat-q4_0-unquantized, for the vision "
    "tower of a GGUF its mmproj file, or for a Gemma 4 the text encoder of LTX-2.5"
)
_ONE_GEMMA = "leave it out, or give the settings of the same Gemma behind it"


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the output, and the weight that it is made of."""

    stored: StoredTensor  # as the plan sees it: under its name in the output, in the dtype that it is read in
    weight: Weight


def is_gemma(path: Path) -> bool:
    """Whether a file or folder holds a Gemma, or its vision tower, told by its header or its config.

    Raises: UnreadableFile, GemmaRootError.
    """
    if path.is_dir():
        is_pipeline = (path / _PIPELINE).is_file()  # of diffusers, whose Gemma lies in a folder of its own
        return not is_pipeline and str(_config(path).get("model_type", "")).startswith("gemma")
    if is_gguf(path):
        with GgufWeights(files_of(path)) as weights:
            return weights.metadata.get(_ARCHITECTURE) in GGUF_GEMMAS
    header = read_header(path)
    return PACKED_CONFIG in header.metadata or any(
        f".{tensor.name}".endswith(_EVERY_GEMMA) for tensor in header.tensors
    )


def convert_gemma(inputs: Sequence[Path], output: Path, target: str, device: torch.device) -> Conversion:
    """Write the Gemma that the inputs hold together as the new `output`, which appears complete or not at all.

    Settings in a packed file make the output one too, those of a root a folder. `target` is one of `TARGETS`; weights
    are quantized on `device`. One tensor is in memory at a time, and everything is checked before work begins.
    Raises: GemmaRootError, GemmaOutputError, BitsAndBytesUnavailable, UnreadableFile.
    """
    source, config = _settings(inputs)
    packed = _packed_metadata(source)
    require_place(inputs, output, packed=packed is not None)
    beside = {} if packed is not None else companions([path for path in inputs if path.is_dir()], config)
    slots = Slots.of(described_model(str(inputs[0]), config), plain_name)
    with ExitStack() as opened:
        tensors = _tensors(inputs, config, slots, opened, packed=source if packed is not None else None)
        contents = Contents(
            origin=str(inputs[0]),
            config=config,
            tensors=tuple(tensor.stored for tensor in tensors.values()),
            values=lambda planned: _values(planned, tensors),
            companions=beside,
            packed=packed,
        )
        return write_contents(contents, output, TARGETS[target], device)


def _packed_metadata(path: Path) -> dict[str, str] | None:
    """What a packed file says beside its tensors, but for how they are stored; None where it is none."""
    if path.is_dir() or is_gguf(path):
        return None
    metadata = {key: text for key, text in read_header(path).metadata.items() if key != HEADER_KEY}
    return metadata if PACKED_CONFIG in metadata else None


def _settings(inputs: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """The first input that has a whole config, and that. Raises: GemmaRootError."""
    for path in inputs:
        config = _config(path)
        if config.get("model_type") in _KINDS and "text_config" in config:
            if path == inputs[0] or path.is_file():
                require_unquantized(config, path)
            return path, {key: value for key, value in config.items() if key != "quantization_config"}
    raise GemmaRootError(f"{inputs[0]} has no settings of a Gemma beside it", _COMPLETE)


def _config(path: Path) -> dict[str, Any]:
    if path.is_dir():
        model = find_model(path)
        return read_config(path if model is None else model)
    return read_config(path) if _packed_metadata(path) is not None else {}


def _tensors(
    inputs: Sequence[Path], config: Mapping[str, Any], slots: Slots, opened: ExitStack, *, packed: Path | None
) -> dict[str, _Tensor]:
    """Every tensor of the output by its name, which is that of a `packed` file where there is one, with all else that
    it holds. Raises: GemmaRootError where the inputs lack one.
    """
    names = {} if packed is None else {plain_name(tensor.name): tensor.name for tensor in read_header(packed).tensors}
    found: dict[str, _Tensor] = {}
    lacking = set(slots.tensors)
    for path in inputs:
        if not lacking and path != packed:
            continue
        for name, weight in _weights(path, config, opened, keeps_names=packed is not None):
            plain = plain_name(name)
            is_model = plain in slots.tensors
            if (is_model and plain not in lacking) or not (is_model or path == packed):
                continue
            shape = slots.tensors[plain] if is_model else weight.shape
            named = names.get(plain, name)
            found[named] = _tensor(named, weight, path, tuple(shape))
            lacking.discard(plain)
    if lacking:
        part, *more = sorted(lacking)
        rest = f" and {len(more)} more" if more else ""
        raise GemmaRootError(f"{inputs[0]} lacks {part}{rest}", _COMPLETE)
    return found


def _tensor(name: str, weight: Weight, path: Path, shape: tuple[int, ...]) -> _Tensor:
    """The tensor that a weight becomes in the model's `shape`."""
    if name.endswith(_EMBEDDING) and weight.shape != shape and weight.shape[1:] == shape[1:]:
        weight = _lengthened(weight, shape)
    is_float = weight.layout is not Layout.PLAIN or weight.stored in _FLOATS or weight.stored.startswith("F8")
    dtype = weight.stored if weight.layout is Layout.PLAIN and weight.stored in _FLOATS else "F32"
    if not is_float:  # as the tokenizer in a packed file
        return _Tensor(StoredTensor(name, weight.stored, weight.shape, prod(weight.shape), path), weight)
    return _Tensor(StoredTensor(name, dtype, weight.shape, prod(weight.shape) * _FLOATS[dtype], path), weight)


def _lengthened(weight: Weight, shape: tuple[int, ...]) -> Weight:
    """The embedding with rows of zeros for the tokens that llama.cpp leaves out: those that no tokenizer gives."""
    if weight.shape[0] > shape[0]:
        return weight

    def read() -> torch.Tensor:
        rows = torch.zeros(shape, dtype=torch.bfloat16)
        rows[: weight.shape[0]] = weight.read()
        return rows

    return replace(weight, shape=shape, layout=Layout.PLAIN, stored="BF16", values=read)


def _values(
    planned: Iterable[PlannedTensor], tensors: Mapping[str, _Tensor]
) -> Iterator[tuple[PlannedTensor, torch.Tensor]]:
    for one in planned:
        values = tensors[one.stored.name].weight.read()
        yield one, values.to(torch.float32) if values.dtype in _FP8 else values


_FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def _weights(
    path: Path, config: Mapping[str, Any], opened: ExitStack, *, keeps_names: bool
) -> Iterator[tuple[str, Weight]]:
    """The weights of an input with their names in the output. Raises: UnreadableFile, GemmaRootError."""
    if path.is_dir():
        weights: Iterable[Weight] = _floats_of(path, opened)
    elif is_gguf(path):
        yield from _gguf_weights(path, config, opened.enter_context(GgufWeights(files_of(path))))
        return
    else:
        weights = opened.enter_context(SafetensorsWeights([path]))
    for weight in weights:
        is_renamed = config["model_type"] == _GEMMA_3 and not keeps_names
        if (name := hub_name_of_safetensors(weight.name) if is_renamed else weight.name) is not None:
            yield name, weight


def _floats_of(root: Path, opened: ExitStack) -> Iterator[Weight]:
    """What a root holds in plain floats, which of a quantized one is its vision tower."""
    if (model := find_model(root)) is None:
        return
    stored = opened.enter_context(StoredTensors(read_shards(model).files))
    for name, tensor in stored.tensors.items():
        if tensor.dtype in _FLOATS:
            yield Weight(name, tensor.shape, Layout.PLAIN, tensor.dtype, lambda name=name: stored.read(name))


def _gguf_weights(path: Path, config: Mapping[str, Any], weights: GgufWeights) -> Iterator[tuple[str, Weight]]:
    gemma = _gguf_gemma(path, config, weights)
    by_name = {weight.name: weight for weight in weights}
    swapped = _has_swapped_names(by_name)
    for name, weight in by_name.items():
        if (hub := gemma.hub_name(name, swapped=swapped)) is not None:
            yield hub, _shifted(weight) if gemma.is_shifted(hub) else weight


def _gguf_gemma(path: Path, config: Mapping[str, Any], weights: GgufWeights) -> GgufGemma:
    """What a GGUF file of the model with this config holds. Raises: GemmaRootError for one of another model."""
    gemma = GGUF_GEMMAS.get(weights.metadata.get(_ARCHITECTURE, ""))
    if gemma is None:
        raise GemmaRootError(f"{path} is no Gemma", _ONE_GEMMA)
    if config["model_type"] not in gemma.model_types:
        raise GemmaRootError(
            f"{path} is {gemma.what}, and the settings beside it are of a {config['model_type']}", _ONE_GEMMA
        )
    return gemma


def _has_swapped_names(weights: Mapping[str, Weight]) -> bool:
    """Whether the matrix that is called the second of a block's two in the vision tower widens, as the first does."""
    second = weights.get("v.blk.0.ffn_down.weight")
    return second is not None and second.shape[0] > second.shape[1]


def _shifted(weight: Weight) -> Weight:
    return replace(weight, layout=Layout.PLAIN, stored="F32", values=lambda: weight.read().to(torch.float32) - 1)
