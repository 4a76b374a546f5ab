"""The models of the upstream on the path, on the meta device, and the names of their tensors.

Each revision of upstream is asked for what its modules have.
"""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from verify.synthetic.architecture import GemmaFamily, Variant
from verify.synthetic.naming import file_names
from verify.synthetic.tensorfile import Shape
from verify.upstream import unpatched

Part = tuple[Any, Any]  # a configurator, and the SDOps of its tensors or None

_ENCODERS = "ltx_core.text_encoders.gemma.encoders.encoder_configurator"


def checkpoint_shapes(
    variant: Variant, metadata: Mapping[str, Any], gemma_root: Path
) -> dict[str, Shape]:
    """Each tensor of a checkpoint of `metadata`, parsed, that goes with the Gemma at `gemma_root`.

    By the name in a monolith, in the order of upstream's components.
    """
    return {
        name: shape
        for configurator, ops in _parts(variant, gemma_root)
        for name, shape in _named_shapes(_without_gemma(_meta(configurator, metadata)), ops).items()
    }


def upsampler_shapes(metadata: Mapping[str, Any]) -> dict[str, Shape]:
    """Each tensor of a spatial upsampler."""
    from ltx_core.model.upsampler import LatentUpsamplerConfigurator

    return _named_shapes(_meta(LatentUpsamplerConfigurator, metadata), None)


def lora_shapes(metadata: Mapping[str, Any], rank: int) -> dict[str, Shape]:
    """A pair of factors for each Linear of the blocks: A is (rank, in), B is (out, rank).

    Named as in upstream's `fuse_loras._prepare_deltas`.
    """
    from ltx_core.loader.sd_ops import LTXV_LORA_COMFY_RENAMING_MAP
    from ltx_core.model.transformer import LTXModelConfigurator

    shapes: dict[str, Shape] = {}
    for name, module in _meta(LTXModelConfigurator, metadata).named_modules():
        if name.startswith("transformer_blocks.") and isinstance(module, torch.nn.Linear):
            shapes[f"{name}.lora_A.weight"] = (rank, module.in_features)
            shapes[f"{name}.lora_B.weight"] = (module.out_features, rank)
    names = file_names(LTXV_LORA_COMFY_RENAMING_MAP, shapes)
    return {names[key]: shape for key, shape in shapes.items()}


def gemma_shapes(family: GemmaFamily, config: Mapping[str, Any]) -> dict[str, Shape]:
    """Each tensor of a Gemma root whose `config.json` is `config`."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    typed = AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(typed)
    ops = _gemma_ops(family)
    if ops is not None:
        shapes = _named_shapes(torch.nn.ModuleDict({"model": model}), ops)
        # Key ops for Gemma 4 take whatever is below `model.`, a tied `lm_head` too: no file has it.
        tied = {f"model.{key}" for key in model._tied_weights_keys}  # noqa: SLF001
        return {name: shape for name, shape in shapes.items() if name not in tied}
    return _named_by_transformers(model)


def _parts(variant: Variant, gemma_root: Path) -> list[Part]:
    from ltx_core.model import audio_vae, transformer, video_vae

    decoder_ops = video_vae.VAE_DECODER_COMFY_KEYS_FILTER
    newest: list[Part] = []
    if variant is Variant.LTX_2_5:
        from ltx_core import duration_head
        from ltx_core.model.video_vae import model_configurator

        decoder_ops = model_configurator.DIFFUSION_VAE_DECODER_COMFY_KEYS_FILTER
        newest = [(duration_head.DurationHeadConfigurator, duration_head.DURATION_HEAD_KEY_OPS)]
    return [
        (transformer.LTXModelConfigurator, transformer.LTXV_MODEL_COMFY_RENAMING_MAP),
        _text_projection(gemma_root),
        (video_vae.VideoEncoderConfigurator, video_vae.VAE_ENCODER_COMFY_KEYS_FILTER),
        (video_vae.VideoDecoderConfigurator, decoder_ops),
        (audio_vae.AudioEncoderConfigurator, audio_vae.AUDIO_VAE_ENCODER_COMFY_KEYS_FILTER),
        (audio_vae.AudioDecoderConfigurator, audio_vae.AUDIO_VAE_DECODER_COMFY_KEYS_FILTER),
        (audio_vae.VocoderConfigurator, audio_vae.VOCODER_COMFY_KEYS_FILTER),
        *newest,
    ]


def _text_projection(gemma_root: Path) -> Part:
    """The feature extractor and the connectors; until 2026-03-04 a text encoder owns them."""
    gemma = importlib.import_module("ltx_core.text_encoders.gemma")
    if hasattr(gemma, "EmbeddingsProcessorConfigurator"):
        configurator, ops = (
            gemma.EmbeddingsProcessorConfigurator,
            gemma.EMBEDDINGS_PROCESSOR_KEY_OPS,
        )
    else:
        configurator = (
            gemma.GemmaTextEncoderConfigurator
            if hasattr(gemma, "GemmaTextEncoderConfigurator")
            else gemma.AVGemmaTextEncoderModelConfigurator
        )
        ops = gemma.AV_GEMMA_TEXT_ENCODER_KEY_OPS
    return unpatched.bound_to_root(configurator, gemma_root), ops


def _gemma_ops(family: GemmaFamily) -> Any:
    """The SDOps of upstream's Gemma, or None where it has none."""
    if importlib.util.find_spec(_ENCODERS) is None:
        return None
    module = importlib.import_module(_ENCODERS)
    for shared in ("GEMMA_LLM_KEY_OPS", "AV_GEMMA_TEXT_ENCODER_KEY_OPS"):  # 2026-03-04: one for all
        if hasattr(module, shared):
            return getattr(module, shared)
    # Its public `get_gemma_ops` wants a root that has its weights already.
    if family is GemmaFamily.GEMMA_4:
        return module._build_gemma4_unified_llm_key_ops(comfy_flat=False)  # noqa: SLF001
    return module._build_gemma3_llm_key_ops()  # noqa: SLF001


def _without_gemma(part: torch.nn.Module) -> torch.nn.Module:
    """From 2026-01-29 to 2026-03-04 a text encoder makes its Gemma too, which has files apart."""
    if hasattr(part, "model"):
        del part.model
    return part


def _meta(configurator: Any, metadata: Mapping[str, Any]) -> torch.nn.Module:
    """Upstream's configurators take all metadata since 2026-08-11, before that its `config`."""
    model: torch.nn.Module
    with torch.device("meta"):
        if hasattr(configurator, "from_metadata"):
            model = configurator.from_metadata(dict(metadata))
        else:
            model = configurator.from_config(dict(metadata["config"]))
    return model


def _named_shapes(model: torch.nn.Module, ops: Any) -> dict[str, Shape]:
    """The shape of each tensor in the file; of several keys with one name, it holds the rows."""
    state = model.state_dict()
    names = file_names(ops, state)
    parts = Counter(names.values())
    shapes: dict[str, Shape] = {}
    for key, name in names.items():
        shape = tuple(state[key].shape)
        shapes[name] = (shape[0] * parts[name], *shape[1:]) if shape else shape
    return shapes


def _named_by_transformers(model: Any) -> dict[str, Shape]:
    """As `_named_shapes`, where upstream leaves Gemma to transformers 4.x, which renames prefixes.

    transformers has no public name for either table.
    """
    stored_as = {
        inner: stored.removeprefix("^")
        for stored, inner in model._checkpoint_conversion_mapping.items()  # noqa: SLF001
    }
    shapes = {}
    for key, value in model.state_dict().items():
        if key not in model._tied_weights_keys:  # noqa: SLF001
            inner = next((prefix for prefix in stored_as if key.startswith(prefix)), "")
            shapes[stored_as.get(inner, "") + key.removeprefix(inner)] = tuple(value.shape)
    return shapes
