"""What a LoRA file holds, and whether it has its effect on a transformer, by names and shapes.

Upstream reads pairs alone: it takes "diffusion_model." out of the names, and adds the product of
`X.lora_B.weight` and `X.lora_A.weight` to the weight of the module X (ltx_core, sd_ops.py and
fuse_loras.py). Whatever has other names it passes over in silence. Other names are those of PEFT,
diffusers, kohya's trainers and LyCORIS, as their files have them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.finding import Finding, Level
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
_DOWNS = {"lora_A", "lora_down", "lora.down"}
_PREFIX = "diffusion_model."
_PAIR = (".lora_A.weight", ".lora_B.weight")
_TRANSFORMER = "model.diffusion_model."
_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
_PREFIXES = (
    *("lora_unet_", "lora_transformer_", "lycoris_", "base_model_model_"),
    *("model_", "diffusion_model_", "transformer_"),
)
"""What trainers put before a module, with its dots as underscores."""
_SHOWN = 3
_FAMILIES = (
    (re.compile(r"(double|single)(_transformer)?_blocks[._]"), "FLUX or HunyuanVideo"),
    (re.compile(r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn|ffn)"), "Wan"),
    (re.compile(r"(down|up|mid|input|output)_blocks?[._]"), "Stable Diffusion"),
    (re.compile(r"(^|[._])layers[._]\d+[._]"), "a language model or another transformer"),
)
"""How modules of other models are named."""


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
    pairs = _pairs(header.tensors)
    halves = {_read(_stem(name)) for name in header.tensors if name.endswith(_PAIR)}
    return Lora(
        method=next((method for part, method in _METHODS.items() if part in kinds), "LoRA"),
        rank=max(ranks, default=0),
        modules=tuple(sorted(parts)),
        example=min(filter(is_adapter, header.tensors)),
        pairs=pairs,
        torn=tuple(sorted(halves - pairs.keys())),
        has_alphas=any(name.endswith(".alpha") for name in header.tensors),
        components=components,
        bytes=header.bytes,
    )


def _pairs(tensors: Mapping[str, Tensor]) -> dict[str, Widths]:
    """What upstream reads: the modules, as it names them, with the widths of their product."""
    read = {name.replace(_PREFIX, ""): tensor for name, tensor in tensors.items()}
    down, up = _PAIR
    return {
        name.removesuffix(down): (other.shape[0], tensor.shape[1])
        for name, tensor in read.items()
        if name.endswith(down)
        and (other := read.get(name.removesuffix(down) + up)) is not None
        and len(other.shape) == len(tensor.shape) == 2
        and other.shape[1] == tensor.shape[0]
    }


def modules_of(tensors: Mapping[str, Tensor]) -> dict[str, Widths]:
    """The modules of a checkpoint's transformer that a LoRA can change, and their widths."""
    found = {}
    for name, tensor in tensors.items():
        module = name.removeprefix(_TRANSFORMER).removesuffix(".weight")
        if name == f"{_TRANSFORMER}{module}.weight" and len(tensor.shape) == 2:
            found[module] = (tensor.shape[0], tensor.shape[1])
    return {module: w for module, w in found.items() if not module.startswith(_CONNECTORS)}


def refusal_of_lora(
    lora: Lora, modules: Mapping[str, Widths], variant: str, origin: str
) -> PatcherError | None:
    """Why the LoRA can't have its effect on a transformer with these modules; None where it has,
    at least on some.
    """
    if lora.method != "LoRA":
        return UsageError(
            f"{origin} is a {lora.method}, and upstream reads plain LoRAs alone",
            remedy="give a plain LoRA, for example one that was extracted from what it makes",
        )
    if torn := next((module for module in lora.torn if module in modules), None):
        return InvalidError(
            f"{origin}: what changes {torn} is no pair that can be multiplied",
            remedy="download the file again, from the page that it came from",
        )
    matched = {module: widths for module, widths in lora.pairs.items() if module in modules}
    if not matched:
        return _without_effect(lora, modules, variant, origin)
    for module, widths in matched.items():
        if widths != modules[module]:
            return ConflictError(
                f"{origin} changes {module} as {_shown(widths)}, and {variant} has it as "
                f"{_shown(modules[module])}",
                remedy=f"give a LoRA that was trained for {variant}",
            )
    return None


def cautions_of_lora(
    lora: Lora, modules: Mapping[str, Widths], variant: str, origin: str
) -> Iterable[Finding]:
    """What a LoRA that may be used lacks of its effect."""
    has_effect = lora.pairs.keys() & modules.keys()
    left = [module for module in lora.modules if _read(module) not in has_effect]
    if left:
        count = len(lora.modules)
        yield Finding(
            "lora",
            Level.WARNING,
            f"{origin}: {count - len(left)} of {count} modules change {variant}; left out: "
            f"{_kinds(left)}",
            f"expect a part of its effect; one that was trained for {variant} has all",
        )
    if lora.has_alphas:
        yield Finding(
            "lora",
            Level.WARNING,
            f"{origin} holds alphas, which upstream does not read",
            "where alpha is not the rank, give the strength times alpha / rank",
        )


def _without_effect(
    lora: Lora, modules: Mapping[str, Widths], variant: str, origin: str
) -> PatcherError:
    if all(_read(module).startswith(_CONNECTORS) for module in lora.modules):
        return UsageError(
            f"{origin} is for the text connectors, and upstream applies LoRAs to the transformer "
            "alone",
            remedy="leave it out, or give one for the transformer",
        )
    spelled = {module.replace(".", "_"): module for module in modules}
    known = (_unprefixed(module, spelled) for module in lora.modules)
    if module := next(filter(None, known), None):
        return UsageError(
            f"{origin} holds {lora.example}, a name that upstream passes over: it would have no "
            "effect",
            remedy=f"name its tensors as ComfyUI does: {_PREFIX}{module}{_PAIR[0]} and {_PAIR[1]}",
        )
    first = lora.modules[0]
    family = next((name for pattern, name in _FAMILIES if pattern.search(first)), "another model")
    return UsageError(
        f"{origin} holds no module of {variant}: {first!r} is of {family}",
        remedy=f"give a LoRA that was trained for {variant}",
    )


def _unprefixed(module: str, spelled: Mapping[str, str]) -> str | None:
    """The module of the transformer that another trainer names so; None where there is none."""
    form = module.replace(".", "_")
    while form not in spelled:
        prefix = next((prefix for prefix in _PREFIXES if form.startswith(prefix)), None)
        if prefix is None:
            return None
        form = form.removeprefix(prefix)
    return spelled[form]


def _stem(name: str) -> str:
    """The module of a tensor of a pair."""
    return name.removesuffix(_PAIR[0]).removesuffix(_PAIR[1])


def _read(module: str) -> str:
    """Its name as upstream reads it."""
    return module.replace(_PREFIX, "")


def _kinds(modules: Iterable[str]) -> str:
    """The commonest kinds of them, each with its count: "transformer_blocks.N.attn1.to_q (28)"."""
    kinds = Counter(re.sub(r"\.\d+\.", ".N.", _read(module)) for module in modules)
    shown = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(_SHOWN))
    more = len(kinds) - _SHOWN
    return f"{shown} and {more} more kinds" if more > 0 else shown


def _shown(widths: Widths) -> str:
    outputs, inputs = widths
    return f"{inputs} to {outputs} values"
