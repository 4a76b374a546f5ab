"""Does a file set hold what upstream's builders want, no tensor less and no tensor more?"""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from verify.synthetic.builders import upstream_builders
from verify.synthetic.files import FileSet, Layout
from verify.synthetic.naming import model_names

_ENCODERS = "ltx_core.text_encoders.gemma.encoders.encoder_configurator"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One component, after upstream's builder has loaded its part of the files."""

    component: str
    missing: frozenset[str]  # keys in the model that no file filled
    taken: frozenset[str]  # tensors of the files that filled one, as "file:name"
    left: frozenset[str]  # tensors that its SDOps picked and its model has no place for


def faults(loads: Sequence[Loaded], tensors: Iterable[str]) -> list[str]:
    """A sentence for each tensor that is missing or that no component takes.

    Upstream's transformer also picks the connectors' tensors, which the embeddings processor
    takes: a tensor that is left over in one component is fine where another one takes it.
    """
    taken = frozenset().union(*(load.taken for load in loads))
    found = [f"{load.component}: no tensor for {key}" for load in loads for key in load.missing]
    found += [
        f"{load.component}: no place for {name}" for load in loads for name in load.left - taken
    ]
    picked = taken.union(*(load.left for load in loads))
    found += [f"no component takes {name}" for name in set(tensors) - picked]
    return sorted(found)


def load_all(files: FileSet) -> list[Loaded]:
    """Each component of `files`, loaded on the CPU through upstream's own builders."""
    from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_TARGET_MAP

    builders = upstream_builders(files)
    loads = [_load(component, builder) for component, builder in builders.items()]
    transformer = next(b for name, b in builders.items() if name.endswith("transformer"))
    weights = transformer.meta_model(_description(transformer), ()).state_dict().keys()
    lora = _placed("distilled_lora", LTXV_LORA_COMFY_TARGET_MAP, [files.distilled_lora], weights)
    return [*loads, *_loaded_beside(files), lora]


def tensor_names(files: Iterable[Path]) -> list[str]:
    """Each tensor of `files`, as "file:name"."""
    return [f"{file.name}:{name}" for file in files for name in _names(file)]


def _load(component: str, builder: Any) -> Loaded:
    model = builder.meta_model(_description(builder), builder.module_ops)
    paths = [builder.model_path] if isinstance(builder.model_path, str) else builder.model_path
    state = builder.load_sd(
        list(paths), builder.registry, torch.device("cpu"), builder.model_sd_ops
    )
    wanted = model.state_dict().keys()
    # Upstream's builder makes the same call; it raises where a shape differs.
    model.load_state_dict(state.sd, strict=False, assign=True)
    placed = _placed(component, builder.model_sd_ops, [Path(path) for path in paths], wanted)
    missing = frozenset(key for key, value in model.state_dict().items() if value.is_meta)
    return Loaded(component, missing, placed.taken, placed.left)


def _description(builder: Any) -> Any:
    """What the builder's configurator takes: all metadata since 2026-08-11, before its `config`."""
    read = getattr(builder, "model_metadata", builder.model_config)
    return read()


def _loaded_beside(files: FileSet) -> list[Loaded]:
    """What of Gemma no builder of upstream loads."""
    if files.layout is Layout.SPLIT:
        return [_assets(files.text_encoder)]
    if not importlib.util.find_spec(_ENCODERS):
        return [_loaded_by_transformers(files.gemma_root)]
    return []


def _assets(packed: Path) -> Loaded:
    """Tokenizer and processor, as tensors; upstream has read them to make a builder."""
    from ltx_core.text_encoders.gemma import gemma_assets

    prefixes = (gemma_assets.TOKENIZER_JSON_TENSOR_KEY, gemma_assets.HF_ASSET_TENSOR_PREFIX)
    taken = frozenset(f"{packed.name}:{n}" for n in _names(packed) if n.startswith(prefixes))
    return Loaded("assets", frozenset(), taken, frozenset())


def _loaded_by_transformers(root: Path) -> Loaded:
    """The Gemma of a root, which until 2026-03-04 transformers loads for upstream."""
    from transformers import Gemma3ForConditionalGeneration

    _, told = Gemma3ForConditionalGeneration.from_pretrained(root, output_loading_info=True)
    left = frozenset(told["unexpected_keys"])
    names = {
        f"{shard.name}:{name}": name
        for shard in root.glob("*.safetensors")
        for name in _names(shard)
    }
    return Loaded(
        "gemma",
        frozenset(told["missing_keys"]),
        frozenset(place for place, name in names.items() if name not in left),
        frozenset(place for place, name in names.items() if name in left),
    )


def _placed(component: str, ops: Any, files: Iterable[Path], wanted: Iterable[str]) -> Loaded:
    keys = set(wanted)
    taken: set[str] = set()
    left: set[str] = set()
    for file in files:
        for name in _names(file):
            made = model_names(ops, name)
            if made:
                (taken if keys.issuperset(made) else left).add(f"{file.name}:{name}")
    return Loaded(component, frozenset(), frozenset(taken), frozenset(left))


def _names(file: Path) -> list[str]:
    with safe_open(file, framework="pt") as opened:
        return list(opened.keys())
