"""What a LoRA file holds, and whether it has its effect on a transformer, by names and shapes.

The patched loader reads the pairs of matrices whose names the overlay's lora_names.py knows; other
names it leaves out, and says so in the log. Without the patch it reads upstream's own layout alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ltx2_patcher.rules.models.abilities import nearest, whole_series
from ltx2_patcher.rules.models.options import FILE_LISTS
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Component, Header, Lora, Tensor

Widths = tuple[int, int]
"""Of a module: what it gives and what it takes."""

_ADAPTER = re.compile(
    r"\.(lora_(?:A|B|down|up|mid|magnitude_vector)|lora\.(?:down|up)|dora_scale|lokr_|hada_)"
)
_METHODS = {
    "lokr_": "LoKr",
    "hada_": "LoHa",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
}
_DTYPES = {"BF16", "F16", "F32", "F64"}
_DOWNLOAD = "download it in BF16 or F16"
_CONVERT = (
    f"{_DOWNLOAD}, or convert it with the environment's Python: from safetensors.torch import "
    "load_file, save_file; save_file({k: v.bfloat16() for k, v in "
    "load_file('IN.safetensors').items()}, 'OUT.safetensors')"
)
_DOWNS = {"lora_A", "lora_down", "lora.down"}
_PAIR = (".lora_A.weight", ".lora_B.weight")
_OWN = "diffusion_model."
"""What upstream takes out of a LoRA's names, wherever it stands (sd_ops.py)."""
_TRANSFORMER = "model.diffusion_model."
_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
_FAMILIES = (
    (re.compile(r"(double|single)(_transformer)?_blocks[._]"), "FLUX or HunyuanVideo"),
    (re.compile(r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn|ffn)"), "Wan"),
    (re.compile(r"(down|up|mid|input|output)_blocks?[._]"), "Stable Diffusion"),
    (re.compile(r"(^|[._])layers[._]\d+[._]"), "a language model or another transformer"),
)
"""How modules of other models are named."""


@dataclass(frozen=True, slots=True)
class LoraNames:
    """The functions of the overlay's lora_names.py, which the scripts read a LoRA with."""

    loader_names: Callable[[Iterable[str], Iterable[str]], Mapping[str, str]]
    kinds: Callable[[Iterable[str]], str]


def is_adapter(name: str) -> bool:
    """Whether a tensor is part of a LoRA or of one of its kin."""
    return _ADAPTER.search(name) is not None


def lora_of(header: Header, components: tuple[Component, ...]) -> Lora:
    """The LoRA in a file that holds adapters' tensors."""
    parts: dict[str, set[str]] = {}
    ranks = []
    for name, tensor in header.tensors.items():
        if found := _ADAPTER.search(name):
            parts.setdefault(name[: found.start()], set()).add(found[1])
            if found[1] in _DOWNS and tensor.shape:
                ranks.append(tensor.shape[0])
    kinds = set().union(*parts.values())
    return Lora(
        method=next((method for part, method in _METHODS.items() if part in kinds), "LoRA"),
        rank=max(ranks, default=0),
        modules=tuple(sorted(parts)),
        shapes={name: tensor.shape for name, tensor in header.tensors.items()},
        dtypes=frozenset(tensor.dtype for tensor in header.tensors.values()),
        components=components,
        bytes=header.bytes,
    )


def modules_of(tensors: Mapping[str, Tensor]) -> dict[str, Widths]:
    """The modules of a checkpoint's transformer that a LoRA can change, and their widths."""
    found = {}
    for name, tensor in tensors.items():
        module = name.removeprefix(_TRANSFORMER).removesuffix(".weight")
        if name == f"{_TRANSFORMER}{module}.weight" and len(tensor.shape) == 2:
            found[module] = (tensor.shape[0], tensor.shape[1])
    return {module: w for module, w in found.items() if not module.startswith(_CONNECTORS)}


def refusal_of_lora(
    lora: Lora, modules: Mapping[str, Widths], names: LoraNames, variant: str, origin: str
) -> PatcherError | None:
    """Why the LoRA can't have its effect on a transformer with these modules; None where it has,
    at least on some.
    """
    if lora.method != "LoRA":
        return UsageError(
            f"{origin} is a {lora.method}, and upstream reads plain LoRAs alone",
            remedy="give a plain LoRA, for example one that was extracted from what it makes",
        )
    if odd := lora.dtypes - _DTYPES:
        return UsageError(
            f"{origin} is stored as {', '.join(sorted(odd))}, which upstream can't multiply",
            remedy=_CONVERT if all(dtype.startswith("F8") for dtype in odd) else _DOWNLOAD,
        )
    halves: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, read in names.loader_names(lora.shapes, modules).items():
        if half := next(filter(read.endswith, _PAIR), None):
            halves.setdefault(read.removesuffix(half), {})[half] = lora.shapes[name]
        elif prod(lora.shapes[name]) != 1:
            return InvalidError(
                f"{origin}: {name} is an alpha of {prod(lora.shapes[name])} numbers, not of one",
                remedy="download the file again, from the page that it came from",
            )
    if not halves:
        return _without_effect(lora, variant, origin)
    for module, shapes in halves.items():
        widths = _product(*(shapes.get(half, ()) for half in _PAIR))
        if widths is None:
            return InvalidError(
                f"{origin}: what changes {module} is no pair that can be multiplied",
                remedy="download the file again, from the page that it came from",
            )
        if widths != modules[module]:
            return ConflictError(
                f"{origin} changes {module} as {_shown(widths)}, and {variant} has it as "
                f"{_shown(modules[module])}",
                remedy=f"give a LoRA that was trained for {variant}",
            )
    return None


def refusal_of_paths(
    request: Request, able: Abilities, others: Sequence[Abilities]
) -> PatcherError | None:
    """Why the script fails at LoRAs that are given by their paths alone; None where it does not."""
    given = next((file.option for file in request.files if file.option in FILE_LISTS), None)
    if given is None or able.takes_loras_in_retake:
        return None
    offering = nearest(able, others, "loras-in-retake")
    elsewhere = f", or take base {offering.base}, which has --lora in its place" if offering else ""
    return UsageError(
        f"{given}: the {request.pipeline} of base {able.base} hands the paths on as they are, and "
        "upstream's own loader fails at them",
        remedy=f"leave it out{elsewhere}",
    )


def refusal_of_layout(
    lora: Lora, modules: Mapping[str, Widths], names: LoraNames, able: Abilities, origin: str
) -> PatcherError | None:
    """Why a loader that knows upstream's own layout alone would leave out what it should read; None
    where it would not, or knows every layout.
    """
    if able.reads_any_lora_layout:
        return None
    for name, read in names.loader_names(lora.shapes, modules).items():
        if name.replace(_OWN, "") != read or not read.endswith(_PAIR):
            return ConflictError(
                f"{origin} holds {name}, which would be left out in silence: the patch that reads "
                f"it is not in this tree of base {able.base}",
                remedy=whole_series(able),
            )
    return None


def refusal_of_rest(
    lora: Lora, tensors: Mapping[str, Tensor], names: LoraNames, way: str, origin: str
) -> PatcherError | None:
    """Why a plain fp8 transformer can't be loaded with the LoRA where nothing asks for fp8-cast, as
    `way` does: what the LoRA changes becomes bf16, and the rest stays fp8. None where it leaves no
    fp8.
    """
    changed = {
        f"{_TRANSFORMER}{name.removesuffix(half)}.weight"
        for name in names.loader_names(lora.shapes, modules_of(tensors)).values()
        for half in _PAIR
    }
    stored = {n for n, t in tensors.items() if n.startswith(_TRANSFORMER) and t.dtype == "F8_E4M3"}
    if not (left := sorted(stored - changed)):
        return None
    return UsageError(
        f"{origin} leaves {left[0]} of the checkpoint in fp8, which can't be multiplied by what it "
        "makes bf16",
        remedy=f"add {way}",
    )


def cautions_of_lora(
    lora: Lora, modules: Mapping[str, Widths], names: LoraNames, variant: str, origin: str
) -> Iterable[Finding]:
    """What a LoRA that may be used lacks of its effect."""
    read = names.loader_names(lora.shapes, modules)
    if left := [name for name in lora.shapes if name not in read]:
        yield Finding(
            "lora",
            Level.WARNING,
            f"{origin}: {len(read)} of {len(lora.shapes)} tensors change {variant}; left out: "
            f"{names.kinds(left)}",
            f"expect a part of its effect; one that was trained for {variant} has all",
        )


def _without_effect(lora: Lora, variant: str, origin: str) -> PatcherError:
    if all(any(name in module for name in _CONNECTORS) for module in lora.modules):
        return UsageError(
            f"{origin} is for the text connectors, and upstream applies LoRAs to the transformer "
            "alone",
            remedy="leave it out, or give one for the transformer",
        )
    first = lora.modules[0]
    family = next((name for pattern, name in _FAMILIES if pattern.search(first)), "another model")
    return UsageError(
        f"{origin} holds no module of {variant}: {first!r} is of {family}",
        remedy=f"give a LoRA that was trained for {variant}",
    )


def _product(down: tuple[int, ...], up: tuple[int, ...]) -> Widths | None:
    """The widths of what two matrices of these shapes make; None where they can't be multiplied."""
    if len(down) != 2 or len(up) != 2 or not up[1] == down[0] > 0:
        return None
    return up[0], down[1]


def _shown(widths: Widths) -> str:
    outputs, inputs = widths
    return f"{inputs} to {outputs} values"
