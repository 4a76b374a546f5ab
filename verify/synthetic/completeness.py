"""Does a file set hold what upstream's builders want, no tensor less and no tensor more?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from verify.synthetic.files import FileSet
from verify.synthetic.naming import model_names


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
    """Each component of `files`, loaded on the CPU through the builders of upstream's ledger."""
    from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_TARGET_MAP
    from ltx_pipelines.utils.model_ledger import ModelLedger

    ledger = ModelLedger(
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        checkpoint_path=str(files.checkpoint),
        gemma_root_path=str(files.gemma_root),
        spatial_upsampler_path=str(files.spatial_upsampler),
    )
    builders: Mapping[str, Any] = {
        name.removesuffix("_builder"): builder
        for name, builder in vars(ledger).items()
        if name.endswith("_builder")
    }
    loads = [_load(component, builder) for component, builder in builders.items()]
    transformer = builders["transformer"]
    weights = transformer.meta_model(transformer.model_config(), ()).state_dict().keys()
    lora = _placed("distilled_lora", LTXV_LORA_COMFY_TARGET_MAP, [files.distilled_lora], weights)
    return [*loads, lora]


def tensor_names(files: Iterable[Path]) -> list[str]:
    """Each tensor of `files`, as "file:name"."""
    return [f"{file.name}:{name}" for file in files for name in _names(file)]


def _load(component: str, builder: Any) -> Loaded:
    model = builder.meta_model(builder.model_config(), builder.module_ops)
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
