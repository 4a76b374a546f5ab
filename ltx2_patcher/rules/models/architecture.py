"""The names of every tensor that upstream's models hold, from the configuration of a file.

Written from upstream's classes at ae855f8 and, for LTX-2.5, at 400fd31, built on the meta device
with the configurations of the released checkpoints; the tests compare with the names that gave, by
digest. Block kinds and options that no released checkpoint has are left out: no name is expected
where we don't know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ltx2_patcher.values.errors import InvalidError

Config = Mapping[str, object]

_TRANSFORMER = "model.diffusion_model"
# A hostile configuration must not make us spell a billion names.
_MAX_COUNT = 128
_MAX_ITEMS = 32
_CONVOLUTIONAL = "CausalVideoAutoencoder"


def checkpoint_keys(config: Config) -> frozenset[str]:
    """Every tensor of a whole checkpoint with this configuration, the duration head left out.

    Raises: InvalidError where a number that the architecture needs is missing or absurd.
    """
    return transformer_keys(config) | frozenset(
        key for part in (_projection, _video_vae, _audio_vae, _vocoder) for key in part(config)
    )


def transformer_keys(config: Config) -> frozenset[str]:
    """Every tensor of the transformer and its connectors, which is a file of its own in LTX-2.5.

    Raises: InvalidError, as `checkpoint_keys`.
    """
    return frozenset((*_transformer(config), *_connectors(config)))


def video_vae_keys(config: Config) -> frozenset[str]:
    """Every tensor of a video VAE, as it is named in a whole checkpoint. Raises: InvalidError."""
    return frozenset(_video_vae(config))


def audio_vae_keys(config: Config) -> frozenset[str]:
    """Every tensor of an audio VAE and its vocoder. Raises: InvalidError."""
    return frozenset((*_audio_vae(config), *_vocoder(config)))


def duration_head_keys() -> frozenset[str]:
    """Every tensor of LTX-2.5's duration head (ltx_core/duration_head/duration_head.py)."""
    pooler = "duration_head.attention_pooler"
    return frozenset(
        (
            *(f"duration_head.{side}_modality_emb" for side in ("video", "audio")),
            *_affine("duration_head.video_input_proj"),
            *_affine("duration_head.audio_input_proj"),
            *_affine("duration_head.mlp_hidden"),
            *_affine("duration_head.mlp_out"),
            f"{pooler}.query_tokens",
            f"{pooler}.cross_attn.in_proj_weight",
            f"{pooler}.cross_attn.in_proj_bias",
            *_affine(f"{pooler}.cross_attn.out_proj"),
        )
    )


def has_diffusion_decoder(config: Config) -> bool:
    """Whether the video VAE decodes by diffusion, as upstream's `is_diffusion_video_vae` tells."""
    return section(config, "vae").get("_class_name", _CONVOLUTIONAL) != _CONVOLUTIONAL


def section(config: Config, name: str) -> Config:
    """A part of a configuration; empty where it is missing."""
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def count(config: Config, name: str) -> int:
    """A number of layers or blocks. Raises: InvalidError where it is none."""
    value = config.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise InvalidError(
            f"the configuration has no usable {name}: {value!a}",
            remedy="download the file again, from the model's own page",
        )
    return value


def _transformer(config: Config) -> Iterator[str]:
    options = section(config, "transformer")
    yield from (f"{_TRANSFORMER}.{side}scale_shift_table" for side in ("", "audio_"))
    for side in ("", "audio_"):
        yield from _affine(f"{_TRANSFORMER}.{side}patchify_proj")
        yield from _affine(f"{_TRANSFORMER}.{side}proj_out")
        if not options.get("caption_proj_before_connector"):
            for linear in ("linear_1", "linear_2"):
                yield from _affine(f"{_TRANSFORMER}.{side}caption_projection.{linear}")
    for modulation in _modulations(options):
        name = f"{_TRANSFORMER}.{modulation}adaln_single"
        yield from _affine(f"{name}.emb.timestep_embedder.linear_1")
        yield from _affine(f"{name}.emb.timestep_embedder.linear_2")
        yield from _affine(f"{name}.linear")
    if options.get("use_keyframes_abs_pos_embedding"):
        yield f"{_TRANSFORMER}.keyframes_abs_pos_embedding"
    for index in range(count(options, "num_layers")):
        yield from _transformer_block(f"{_TRANSFORMER}.transformer_blocks.{index}", options)


def _modulations(options: Config) -> Iterator[str]:
    yield from ("", "audio_")
    yield from (f"av_ca_{side}_scale_shift_" for side in ("video", "audio"))
    yield from (f"av_ca_{way}_gate_" for way in ("a2v", "v2a"))
    if options.get("cross_attention_adaln"):
        yield from ("prompt_", "audio_prompt_")


def _transformer_block(name: str, options: Config) -> Iterator[str]:
    gated = bool(options.get("apply_gated_attention"))
    prompted = bool(options.get("cross_attention_adaln"))
    yield f"{name}.scale_shift_table_a2v_ca_audio"
    yield f"{name}.scale_shift_table_a2v_ca_video"
    for side in ("", "audio_"):
        yield f"{name}.{side}scale_shift_table"
        if prompted:
            yield f"{name}.{side}prompt_scale_shift_table"
        yield from _attention(f"{name}.{side}attn1", gated)
        yield from _attention(f"{name}.{side}attn2", gated)
        biased = bool(side) or bool(options.get("ff_bias", True))  # the audio's always are
        yield from _feed_forward(f"{name}.{side}ff", biased=biased)
    yield from _attention(f"{name}.audio_to_video_attn", gated)
    yield from _attention(f"{name}.video_to_audio_attn", gated)


def _projection(config: Config) -> Iterator[str]:
    if section(config, "transformer").get("caption_proj_before_connector"):
        yield from _affine("text_embedding_projection.video_aggregate_embed")
        yield from _affine("text_embedding_projection.audio_aggregate_embed")
    else:
        yield "text_embedding_projection.aggregate_embed.weight"


def _connectors(config: Config) -> Iterator[str]:
    options = section(config, "transformer")
    gated = bool(options.get("connector_apply_gated_attention"))
    for side in ("video", "audio"):
        connector = f"{_TRANSFORMER}.{side}_embeddings_connector"
        yield f"{connector}.learnable_registers"
        for index in range(count(options, "connector_num_layers")):
            yield from _attention(f"{connector}.transformer_1d_blocks.{index}.attn1", gated)
            yield from _feed_forward(f"{connector}.transformer_1d_blocks.{index}.ff", biased=True)


def _video_vae(config: Config) -> Iterator[str]:
    yield "vae.per_channel_statistics.mean-of-means"
    yield "vae.per_channel_statistics.std-of-means"
    options = section(config, "vae")
    # A diffusion VAE's encoder is described apart, in `vae.encoder`.
    encoder = section(options, "encoder")
    downwards = encoder.get("blocks") if encoder else options.get("encoder_blocks")
    yield from _convolutions("encoder.down_blocks", _blocks(downwards))
    if has_diffusion_decoder(config):
        yield from _diffusion_decoder(section(options, "decoder") or options)
    else:  # upstream builds the decoder from its last block on
        yield from _convolutions("decoder.up_blocks", _blocks(options.get("decoder_blocks"))[::-1])


def _convolutions(stack: str, kinds: list[tuple[str, Config]]) -> Iterator[str]:
    part, _ = stack.split(".")
    yield from _affine(f"vae.{part}.conv_in.conv")
    yield from _affine(f"vae.{part}.conv_out.conv")
    for index, (kind, block) in enumerate(kinds):
        name = f"vae.{stack}.{index}"
        if kind == "res_x":
            for layer in range(count(block, "num_layers")):
                yield from _affine(f"{name}.res_blocks.{layer}.conv1.conv")
                yield from _affine(f"{name}.res_blocks.{layer}.conv2.conv")
        elif part == "decoder" or kind.endswith("_res"):
            yield from _affine(f"{name}.conv.conv")


def _diffusion_decoder(options: Config) -> Iterator[str]:
    """DiffusionVideoDecoder: four stages of attention, then blocks that denoise the picture.

    Gates, a coarse head and other tensors that upstream folds or drops may lie beside these.
    """
    name = "vae.decoder"
    for module in ("conv_in", "conv_in_x_t", "conv_out", "shared_adaln.proj"):
        yield from _affine(f"{name}.{module}")
    yield f"{name}.norm_out.weight"
    for module in ("0", "2"):
        yield from _affine(f"{name}.t_embedder.mlp.{module}")
    *stages, denoising = _numbers(options.get("stage_depths")) or [0]
    for stage, depth in enumerate(stages):
        yield from _affine(f"{name}.upsamples.{stage}.proj")
        for block in range(min(depth, _MAX_COUNT)):
            yield from _neighborhood(f"{name}.det_stages.{stage}.{block}")
    for block in range(min(denoising, _MAX_COUNT)):
        yield from _neighborhood(f"{name}.diff_blocks.{block}")
        yield from _affine(f"{name}.diff_blocks.{block}.context_proj")
        yield f"{name}.diff_blocks.{block}.scale_shift_table"


def _neighborhood(name: str) -> Iterator[str]:
    for module in ("attn.q_norm", "attn.k_norm", "norm1", "norm2"):
        yield f"{name}.{module}.weight"
    for module in ("mlp.w_gate", "mlp.w_up", "mlp.w_down"):
        yield f"{name}.{module}.weight"
    yield from _affine(f"{name}.attn.qkv")
    yield from _affine(f"{name}.attn.proj")


def _audio_vae(config: Config) -> Iterator[str]:
    yield "audio_vae.per_channel_statistics.mean-of-means"
    yield "audio_vae.per_channel_statistics.std-of-means"
    model = section(section(section(config, "audio_vae"), "model"), "params")
    options = section(model, "ddconfig")
    widths = _numbers(options.get("ch_mult"))
    deepest = len(widths) - 1
    res_blocks = count(options, "num_res_blocks")
    for part in ("encoder", "decoder"):
        name = f"audio_vae.{part}"
        for conv in ("conv_in", "mid.block_1.conv1", "mid.block_1.conv2"):
            yield from _affine(f"{name}.{conv}.conv")
        for conv in ("mid.block_2.conv1", "mid.block_2.conv2", "conv_out"):
            yield from _affine(f"{name}.{conv}.conv")
    for level, width in enumerate(widths):
        # Going down, a level starts at the width above it; going up, at the width below it.
        for part, entered, layers in (
            ("encoder.down", widths[level - 1] if level else 1, res_blocks),
            ("decoder.up", widths[min(level + 1, deepest)], res_blocks + 1),
        ):
            for layer in range(layers):
                block = f"audio_vae.{part}.{level}.block.{layer}"
                yield from _affine(f"{block}.conv1.conv")
                yield from _affine(f"{block}.conv2.conv")
                if layer == 0 and entered != width:
                    yield from _affine(f"{block}.nin_shortcut.conv")
        if level < deepest:
            yield from _affine(f"audio_vae.encoder.down.{level}.downsample.conv")
        if level > 0:
            yield from _affine(f"audio_vae.decoder.up.{level}.upsample.conv.conv")


def _vocoder(config: Config) -> Iterator[str]:
    options = section(config, "vocoder")
    if "bwe" not in options:
        yield from _generator("vocoder", options)
        return
    yield from _generator("vocoder.vocoder", section(options, "vocoder"))
    yield from _generator("vocoder.bwe_generator", section(options, "bwe"))
    yield "vocoder.mel_stft.mel_basis"
    yield "vocoder.mel_stft.stft_fn.forward_basis"
    yield "vocoder.mel_stft.stft_fn.inverse_basis"


def _generator(name: str, options: Config) -> Iterator[str]:
    rates = _numbers(options.get("upsample_rates"))
    dilations = [_numbers(item) for item in _items(options.get("resblock_dilation_sizes"))]
    snake = options.get("resblock") == "AMP1"
    yield from _affine(f"{name}.conv_pre")
    for index in range(len(rates)):
        yield from _affine(f"{name}.ups.{index}")
    for index, steps in enumerate(dilations * len(rates)):
        for half in ("1", "2"):
            for step in range(len(steps)):
                yield from _affine(f"{name}.resblocks.{index}.convs{half}.{step}")
                if snake:
                    yield from _snake(f"{name}.resblocks.{index}.acts{half}.{step}")
    if snake:
        yield from _snake(f"{name}.act_post")
    yield f"{name}.conv_post.weight"
    if options.get("use_bias_at_final", True):
        yield f"{name}.conv_post.bias"


def _affine(name: str) -> Iterator[str]:
    yield f"{name}.weight"
    yield f"{name}.bias"


def _attention(name: str, gated: bool) -> Iterator[str]:
    yield f"{name}.q_norm.weight"
    yield f"{name}.k_norm.weight"
    for module in ("to_q", "to_k", "to_v", "to_out.0"):
        yield from _affine(f"{name}.{module}")
    if gated:
        yield from _affine(f"{name}.to_gate_logits")


def _feed_forward(name: str, *, biased: bool) -> Iterator[str]:
    for module in ("net.0.proj", "net.2"):
        yield f"{name}.{module}.weight"
        if biased:
            yield f"{name}.{module}.bias"


def _snake(name: str) -> Iterable[str]:
    return (
        f"{name}.act.alpha",
        f"{name}.act.beta",
        f"{name}.upsample.filter",
        f"{name}.downsample.lowpass.filter",
    )


def _items(value: object) -> list[object]:
    return value[:_MAX_ITEMS] if isinstance(value, list) else []


def _numbers(value: object) -> list[int]:
    return [item for item in _items(value) if type(item) is int]


def _blocks(value: object) -> list[tuple[str, Config]]:
    """[["res_x", {"num_layers": 4}], ...] of a VAE."""
    return [
        (item[0], item[1])
        for item in _items(value)
        if isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], Mapping)
    ]
