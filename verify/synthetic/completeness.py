"""Does a file set hold what upstream's builders want, no tensor less and no tensor more?

Told by the headers of its files and by upstream's models on the meta device: no weight is read.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from verify.synthetic.builders import upstream_builders
from verify.synthetic.files import FileSet, Layout
from verify.synthetic.naming import model_shapes
from verify.synthetic.tensorfile import Shape, Shapes

_ENCODERS = "ltx_core.text_encoders.gemma.encoders.encoder_configurator"


@dataclass(frozen=True, slots=True)
class Placed:
    """One component, with what upstream's builder would load of the files."""

    component: str
    missing: frozenset[str]  # keys in the model that no file fills in the shape that they have
    taken: frozenset[str]  # tensors of the files that fill one, as "file:name"
    left: frozenset[str]  # tensors that its SDOps pick and its model has no place for


def faults(components: Sequence[Placed], tensors: Iterable[str]) -> list[str]:
    """A sentence for each tensor that is missing or that no component takes.

    Upstream's transformer also picks the connectors' tensors, which the embeddings processor
    takes: a tensor that is left over in one component is fine where another one takes it.
    """
    taken = frozenset().union(*(placed.taken for placed in components))
    sentences = [
        f"{placed.component}: no tensor for {k}" for placed in components for k in placed.missing
    ]
    sentences += [
        f"{placed.component}: no place for {name}"
        for placed in components
        for name in placed.left - taken
    ]
    picked = taken.union(*(placed.left for placed in components))
    sentences += [f"no component takes {name}" for name in set(tensors) - picked]
    return sorted(sentences)


def place_all(files: FileSet) -> list[Placed]:
    """Each component of `files`, as upstream's own builders would load it."""
    builders = upstream_builders(files)
    transformer = next(b for name, b in builders.items() if name.endswith("transformer"))
    return [
        *(_of_builder(component, builder) for component, builder in builders.items()),
        *_beside(files),
        _lora(files.distilled_lora, _meta_model(transformer, ())),
        _scales(files.transformer),
    ]


def tensor_names(files: Iterable[Path]) -> list[str]:
    """Each tensor of `files`, as "file:name"."""
    return [f"{file.name}:{name}" for file in files for name in _shapes(file)]


def _of_builder(component: str, builder: Any) -> Placed:
    paths = [builder.model_path] if isinstance(builder.model_path, str) else builder.model_path
    files = [Path(path) for path in paths]
    model = _meta_model(builder, builder.module_ops)
    before = model.state_dict(keep_vars=True)
    wanted = {key: tuple(value.shape) for key, value in before.items()}
    filled, taken, left = _picked(builder.model_sd_ops, files, wanted)
    fitting = {
        key: torch.empty(shape, device="meta")
        for key, shape in filled.items()
        if wanted.get(key) == shape
    }
    # As upstream's builder does; one tensor fills each name of a module that has several.
    model.load_state_dict(fitting, strict=False, assign=True)
    after = model.state_dict(keep_vars=True)
    missing = {key for key, value in before.items() if value.is_meta and after[key] is value}
    return Placed(component, frozenset(missing), taken, left)


def _meta_model(builder: Any, module_ops: Any) -> Any:
    """Upstream's builders take all metadata since 2026-08-11, before that its `config`."""
    read = getattr(builder, "model_metadata", builder.model_config)
    return builder.meta_model(read(), module_ops)


def _lora(file: Path, transformer: torch.nn.Module) -> Placed:
    """Its factors go by the names of the weights that they change."""
    from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_TARGET_MAP

    weights = {key: tuple(value.shape) for key, value in transformer.state_dict().items()}
    _, taken, left = _picked(LTXV_LORA_COMFY_TARGET_MAP, [file], weights)
    return Placed("distilled_lora", frozenset(), taken, left)


def _scales(file: Path) -> Placed:
    """What a quantization folds into the weights in fp8 while it loads them."""
    names = _shapes(file).keys()
    beside = {
        scale
        for name in names
        for scale in (f"{name}_scale", f"{name.removesuffix('weight')}input_scale")
        if name.endswith(".weight")
    }
    taken = frozenset(f"{file.name}:{name}" for name in names & beside)
    return Placed("quantization", frozenset(), taken, frozenset())


def _beside(files: FileSet) -> list[Placed]:
    """What of Gemma no builder of upstream loads."""
    if files.layout is Layout.SPLIT:
        return [_assets(files.text_encoder)]
    if not importlib.util.find_spec(_ENCODERS):
        return [_of_transformers(files.gemma_root)]
    return []


def _assets(packed: Path) -> Placed:
    """Tokenizer and processor, as tensors; upstream has read them to make a builder."""
    from ltx_core.text_encoders.gemma import gemma_assets

    prefixes = (gemma_assets.TOKENIZER_JSON_TENSOR_KEY, gemma_assets.HF_ASSET_TENSOR_PREFIX)
    taken = frozenset(f"{packed.name}:{n}" for n in _shapes(packed) if n.startswith(prefixes))
    return Placed("assets", frozenset(), taken, frozenset())


def _of_transformers(root: Path) -> Placed:
    """The Gemma of a root, which until 2026-03-04 transformers loads for upstream."""
    from transformers import Gemma3ForConditionalGeneration

    _, loading_info = Gemma3ForConditionalGeneration.from_pretrained(
        root, output_loading_info=True, device_map="meta"
    )
    # It tells them by the model's names, where the files have others.
    left = frozenset(f"{root.name}:{key}" for key in loading_info["unexpected_keys"])
    taken = frozenset(tensor_names(root.glob("*.safetensors")))
    return Placed("gemma", frozenset(loading_info["missing_keys"]), taken, left)


def _picked(
    ops: Any, files: Iterable[Path], wanted: Mapping[str, Shape]
) -> tuple[dict[str, Shape], frozenset[str], frozenset[str]]:
    """What `ops` make of the files' tensors, and which of these are in the model and which not."""
    filled: dict[str, Shape] = {}
    taken: set[str] = set()
    left: set[str] = set()
    for file in files:
        for name, shape in _shapes(file).items():
            if keys := model_shapes(ops, name, shape):
                filled |= keys
                (taken if wanted.keys() >= keys.keys() else left).add(f"{file.name}:{name}")
    return filled, frozenset(taken), frozenset(left)


def _shapes(file: Path) -> Shapes:
    with safe_open(file, framework="pt") as opened:
        names = list(opened.keys())
        return {name: tuple(opened.get_slice(name).get_shape()) for name in names}
