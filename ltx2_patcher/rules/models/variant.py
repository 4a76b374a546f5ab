"""What a safetensors file is, told by its tensors' names, never by its name or version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ltx2_patcher.rules.models.architecture import (
    audio_vae_keys,
    checkpoint_keys,
    count,
    duration_head_keys,
    has_diffusion_decoder,
    section,
    transformer_keys,
    video_vae_keys,
)
from ltx2_patcher.rules.models.components import (
    CHECKPOINT_PARTS,
    VAE_PARTS,
    Shown,
    components,
    gemma_components,
)
from ltx2_patcher.rules.models.lora import is_adapter, lora_of
from ltx2_patcher.rules.models.precision import comfy_name, precision_of
from ltx2_patcher.rules.models.source import source_of, variant_of
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import (
    Checkpoint,
    Foreign,
    Header,
    Lora,
    ModelPart,
    PartKind,
    Source,
    Tensor,
    Upsampler,
)

_BLOCKS = "model.diffusion_model.transformer_blocks."
_PROJECTIONS = (
    "text_embedding_projection.aggregate_embed.weight",
    "text_embedding_projection.video_aggregate_embed.weight",
)
_WHOLE = {"video vae", "audio vae", "vocoder"}  # any of these: more than a transformer


def identify(
    header: Header, origin: str
) -> Checkpoint | ModelPart | Lora | Upsampler | Source | Foreign:
    """What the file is. Raises: InvalidError where its configuration can't be used."""
    names = header.tensors.keys()
    if any(map(is_adapter, names)):  # first: a LoRA may name its modules as a checkpoint does
        return lora_of(header, components(header.tensors, ()))
    configured = section(configuration(header, origin), "transformer")
    if configured and any(name.startswith(_BLOCKS) for name in names):
        return _checkpoint(header, origin)
    if any(name.startswith("post_upsample_res_blocks.") for name in names):
        return _upsampler(header, origin)
    found = _part(header, origin) or source_of(header)
    return found or Foreign(gemma_components(header.tensors), header.bytes)


def configuration(header: Header, origin: str) -> Mapping[str, object]:
    """The model configuration in the file's metadata; empty where it has none.

    Raises: InvalidError where it is no JSON object.
    """
    try:
        found = json.loads(header.metadata.get("config", "{}"))
    except (ValueError, RecursionError) as error:
        raise _unusable(origin) from error
    if not isinstance(found, dict):
        raise _unusable(origin)
    return found


def projection_width(tensors: Mapping[str, Tensor]) -> int | None:
    """What the text projection takes for a token; None where it is not among the tensors."""
    found = next((tensors[name] for name in _PROJECTIONS if name in tensors), None)
    return found.shape[1] if found and len(found.shape) == 2 else None


def _checkpoint(header: Header, origin: str) -> Checkpoint:
    tensors = header.tensors
    config = configuration(header, origin)
    variant = variant_of(tensors)
    parts = components(tensors, CHECKPOINT_PARTS)
    whole = not _WHOLE.isdisjoint(part.name for part in parts)
    expected = checkpoint_keys(config) if whole else transformer_keys(config)
    missing = expected - {_monolithic(name) for name in tensors}
    precision = precision_of(header, _BLOCKS)
    return Checkpoint(
        variant=variant,
        layers=count(section(config, "transformer"), "num_layers"),
        precision=precision,
        whole=whole,
        context_width=projection_width(tensors),
        gemma_version=_gemma_version(header),
        fp8_elements=sum(
            tensor.elements
            for name, tensor in tensors.items()
            if name.startswith(_BLOCKS) and name.endswith(".weight") and len(tensor.shape) == 2
        ),
        components=parts,
        missing=tuple(sorted(missing)),
        bytes=header.bytes,
        stated=_stated_generation(header),
        layout=comfy_name(header, precision, _BLOCKS),
    )


def _part(header: Header, origin: str) -> ModelPart | None:
    """A VAE or a duration head in a file of its own; None where it is none of them."""
    config = configuration(header, origin)
    tensors = {_monolithic(name): tensor for name, tensor in header.tensors.items()}
    starts = {name.split(".")[0] for name in tensors}

    def part(kind: PartKind, detail: str, expected: frozenset[str], shown: Shown) -> ModelPart:
        missing = tuple(sorted(expected - tensors.keys()))
        return ModelPart(kind, detail, components(tensors, shown), missing, header.bytes)

    if "audio_vae" in starts and section(config, "audio_vae"):
        return part("audio VAE", "", audio_vae_keys(config), CHECKPOINT_PARTS)
    if "duration_head" in starts:
        return part("duration head", "", duration_head_keys(), CHECKPOINT_PARTS)
    if "vae" in starts and section(config, "vae"):
        decoder = "diffusion" if has_diffusion_decoder(config) else "convolutional"
        return part("video VAE", f"{decoder} decoder", video_vae_keys(config), VAE_PARTS)
    return None


def _monolithic(name: str) -> str:
    """A tensor's name as a whole checkpoint has it.

    A VAE's own file leaves the first word out, and a diffusion decoder's time embedding has two
    spellings (upstream 400fd31, video_vae/model_configurator.py).
    """
    if name.startswith(("encoder.", "decoder.", "per_channel_statistics.")):
        name = f"vae.{name}"
    for loaded, stored in (("linear_1.", "mlp.0."), ("linear_2.", "mlp.2.")):
        name = name.replace(f"t_embedder.timestep_embedder.{loaded}", f"t_embedder.{stored}")
    return name


def _gemma_version(header: Header) -> str | None:
    """What `_check_gemma_version` of upstream 400fd31 compares."""
    try:
        source = json.loads(header.metadata.get("gemma_source_checkpoint", "null"))
    except (ValueError, RecursionError):
        return None
    version = source.get("gemma_version") if isinstance(source, dict) else None
    return version if isinstance(version, str) else None


def _upsampler(header: Header, origin: str) -> Upsampler:
    """As upstream's LatentUpsamplerConfigurator reads it, with its defaults.

    Raises: InvalidError where it scales neither space nor time.
    """
    config = configuration(header, origin)
    scale = config.get("spatial_scale", 2.0) if config.get("rational_resampler") else 2.0
    if not config.get("spatial_upsample", True) or not isinstance(scale, int | float):
        scale = 1.0
    found = Upsampler(
        space=float(scale),
        time=2.0 if config.get("temporal_upsample", False) else 1.0,
        generation=_generation(header, config),
        components=components(header.tensors, ()),
        bytes=header.bytes,
    )
    if not found.scale:
        raise _unusable(origin)
    return found


def _stated_generation(header: Header) -> str | None:
    match = re.match(r"2\.(\d)\b", header.metadata.get("model_version", ""))
    if match is None:
        return None
    return "LTX-2" if match[1] == "0" else f"LTX-2.{match[1]}"


def _generation(header: Header, config: Mapping[str, object]) -> str | None:
    if stated := _stated_generation(header):
        return stated
    # Of those that double, LTX-2's alone resamples by a ratio.
    if config.get("rational_resampler") is True and config.get("spatial_scale") == 2:
        return "LTX-2"
    return None


def _unusable(origin: str) -> InvalidError:
    return InvalidError(
        f"the model configuration in {origin} can't be read",
        remedy="download the file again, from the model's own page",
    )
