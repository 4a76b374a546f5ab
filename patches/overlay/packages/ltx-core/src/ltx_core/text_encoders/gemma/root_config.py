"""What a Gemma root says of its own model: the config.json beside its weights."""

from pathlib import Path
from typing import Any, TypeVar

from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.root import find_model, read_config

ConfiguratorType = TypeVar("ConfiguratorType", bound=type)

# How upstream's constant (GEMMA3_CONFIG_FOR_LTX, 1.0.0) runs Gemma, whatever its size. Published configs differ in
# these, or leave them out; taking theirs would change a stock 12B's prompt enhancement and the meta model's dtype.
_META_DTYPE = "float32"
_CACHE_IMPLEMENTATION = "hybrid"


def bound_to_root(configurator: ConfiguratorType, gemma_root: str | None) -> ConfiguratorType:
    """Return `configurator` with `gemma_root` set, for a builder that takes a class and hands it no root."""
    return type(configurator.__name__, (configurator,), {"gemma_root": gemma_root})


def stated_config(gemma_root: str | None) -> dict[str, Any] | None:
    """Return the keyword dict for `Gemma3Config.from_dict` that the root states; no weight is read.
    None without a root, or where no config.json lies beside its weights: the stock 12B is meant then.
    Raises:
        GemmaRootError: config.json is not JSON, or describes no multi-modal Gemma 3, the only kind LTX-2 encodes with.
    """
    model = None if gemma_root is None else find_model(Path(gemma_root))
    if model is None or not (stated := read_config(model)):
        return None
    if stated.get("model_type") != "gemma3" or not {"text_config", "vision_config"} <= stated.keys():
        raise GemmaRootError(
            f"{model} holds a model of type {stated.get('model_type')}, not a Gemma 3 with its vision tower",
            "give a root such as google/gemma-3-12b-it-qat-q4_0-unquantized",
        )
    try:
        return as_upstream_runs_it(stated)
    except (KeyError, TypeError, ValueError) as error:  # a section or a rope setting that is no object, or not whole
        raise GemmaRootError(f"the config of {model} states no rope that can be read", "download it again") from error


def as_upstream_runs_it(stated: dict[str, Any]) -> dict[str, Any]:
    """Return `stated`, a Gemma 3 config.json, as transformers 4.5x reads it and upstream's constant runs it."""
    text = _with_flat_rope(stated["text_config"])
    text.setdefault("cache_implementation", _CACHE_IMPLEMENTATION)
    return {
        **stated,
        "text_config": _with_meta_dtype(text),
        "vision_config": _with_meta_dtype(stated["vision_config"]),
    }


def _with_meta_dtype(part: dict[str, Any]) -> dict[str, Any]:
    """transformers spells it `torch_dtype` until 4.55, then `dtype`; the newer reads the older, not the reverse."""
    return {**{key: value for key, value in part.items() if key != "dtype"}, "torch_dtype": _META_DTYPE}


def _with_flat_rope(text: dict[str, Any]) -> dict[str, Any]:
    """Return `text` with RoPE spelled as transformers 4.5x wants it.
    transformers 5 writes one `rope_parameters` with a part per attention type, each with its `rope_theta`, in place of
    `rope_theta`, `rope_scaling` and `rope_local_base_freq`. No scaling is spelled as a type: upstream looks that up.
    """
    flat = {key: value for key, value in text.items() if key != "rope_parameters"}
    if per_attention := text.get("rope_parameters"):
        scaling = dict(per_attention["full_attention"])
        flat["rope_theta"] = scaling.pop("rope_theta")
        flat["rope_scaling"] = scaling
        flat["rope_local_base_freq"] = per_attention["sliding_attention"]["rope_theta"]
    if flat.get("rope_scaling") is None:
        flat["rope_scaling"] = {"rope_type": "default"}
    return flat
