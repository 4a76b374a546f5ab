"""The parts that an LTX-2 checkpoint is made of, and what each tensor of a file is called in upstream's.

Upstream's names are those of the published checkpoints. Files for ComfyUI leave the prefix of the transformer out, or
that of a VAE; diffusers has names of its own.
"""

from collections.abc import Mapping
from enum import Enum

from ltx_core.weight_files import diffusers

TRANSFORMER_PREFIX = "model.diffusion_model."


class Part(Enum):
    """A part that upstream builds on its own; `value` is what a report calls it."""

    TRANSFORMER = "transformer"
    CONNECTORS = "text connectors"
    PROJECTION = "text projection"
    VIDEO_VAE = "video VAE"
    AUDIO_VAE = "audio VAE"
    VOCODER = "vocoder"
    DURATION_HEAD = "duration head"


_PREFIXES = (  # the first that fits counts: connectors lie below the transformer's
    (f"{TRANSFORMER_PREFIX}video_embeddings_connector.", Part.CONNECTORS),
    (f"{TRANSFORMER_PREFIX}audio_embeddings_connector.", Part.CONNECTORS),
    (TRANSFORMER_PREFIX, Part.TRANSFORMER),
    ("text_embedding_projection.", Part.PROJECTION),
    ("vae.", Part.VIDEO_VAE),
    ("audio_vae.", Part.AUDIO_VAE),
    ("vocoder.", Part.VOCODER),
    ("duration_head.", Part.DURATION_HEAD),
)
_TRANSFORMER_PREFIXES = (TRANSFORMER_PREFIX, "diffusion_model.")
_HEADS = diffusers.HEADS | {  # first words of a transformer's tensors where its prefix is left out
    *("transformer_blocks", "patchify_proj", "audio_patchify_proj", "proj_out", "audio_proj_out"),
    *("adaln_single", "audio_adaln_single", "prompt_adaln_single", "audio_prompt_adaln_single"),
    *("av_ca_video_scale_shift_adaln_single", "av_ca_audio_scale_shift_adaln_single"),
    *("av_ca_a2v_gate_adaln_single", "av_ca_v2a_gate_adaln_single"),
    *("caption_projection", "audio_caption_projection", "keyframes_abs_pos_embedding"),
    *("scale_shift_table", "audio_scale_shift_table"),
    *("video_embeddings_connector", "audio_embeddings_connector"),
}
_VAE_HEADS = frozenset({"encoder", "decoder", "per_channel_statistics"})
_STATISTICS = "per_channel_statistics.mean-of-means"  # which every VAE of LTX-2 has, and no encoder of texts
_VIDEO_NDIM = 5  # of a convolution's weight (out, in, time, height, width); an audio VAE's has no time


def upstream_names(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return {name in a file: name in upstream's checkpoint} for what is a part of one; `shapes` are all of the file's.

    A VAE without its prefix is told by the shapes of its convolutions.
    """
    bare = [name for name in shapes if name.partition(".")[0] in _VAE_HEADS] if _STATISTICS in shapes else []
    vae = "vae." if any(len(shapes[name]) == _VIDEO_NDIM for name in bare) else "audio_vae."
    found = {name: vae + name for name in bare}
    return found | {name: ours for name in shapes if (ours := _upstream_name(name)) is not None}


def part_of(name: str) -> Part:
    """Return the part that a tensor of upstream's checkpoint belongs to."""
    return next(part for prefix, part in _PREFIXES if name.startswith(prefix))


def _upstream_name(name: str) -> str | None:
    for prefix in _TRANSFORMER_PREFIXES:
        if name.startswith(prefix):
            return TRANSFORMER_PREFIX + diffusers.upstream_name(name.removeprefix(prefix))
    if any(name.startswith(prefix) for prefix, _ in _PREFIXES):
        return name
    head = name.partition(".")[0]
    if head not in _HEADS:
        return None
    ours = diffusers.upstream_name(name)
    return ours if any(ours.startswith(prefix) for prefix, _ in _PREFIXES) else TRANSFORMER_PREFIX + ours
