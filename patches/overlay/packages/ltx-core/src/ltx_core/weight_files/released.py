"""How the released transformers are built, for files that do not say it, as GGUFs and diffusers' folders do not.

The section `transformer` of the configuration in the metadata of the published checkpoints, and the version that they
state there, by which upstream picks its settings: LTX-2 19B, LTX-2.3 22B and LTX-2.5 22B.
"""

import json
from collections.abc import Mapping

from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX

_ALL = {
    "_class_name": "AVTransformer3DModel",
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "attention_head_dim": 128,
    "attention_type": "default",
    "audio_attention_head_dim": 64,
    "audio_cross_attention_dim": 2048,
    "audio_num_attention_heads": 32,
    "audio_out_channels": 128,
    "audio_positional_embedding_max_pos": [20],
    "av_ca_timestep_scale_multiplier": 1000.0,
    "av_cross_ada_norm": True,
    "caption_channels": 3840,
    "causal_temporal_positioning": True,
    "connector_attention_head_dim": 128,
    "connector_norm_output": True,
    "connector_num_learnable_registers": 128,
    "connector_positional_embedding_max_pos": [4096],
    "cross_attention_dim": 4096,
    "cross_attention_norm": True,
    "double_self_attention": False,
    "dropout": 0.0,
    "frequencies_precision": "float64",
    "in_channels": 128,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "num_attention_heads": 32,
    "num_embeds_ada_norm": 1000,
    "num_layers": 48,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "out_channels": 128,
    "positional_embedding_max_pos": [20, 2048, 2048],
    "positional_embedding_theta": 10000.0,
    "positional_embedding_type": "rope",
    "qk_norm": "rms_norm",
    "rope_type": "split",
    "share_ff": False,
    "standardization_norm": "rms_norm",
    "timestep_scale_multiplier": 1000,
    "upcast_attention": False,
    "use_audio_video_cross_attention": True,
    "use_embeddings_connector": True,
    "use_linear_projection": False,
    "use_middle_indices_grid": True,
}
_LTX_2 = {**_ALL, "_diffusers_version": "0.25.1", "connector_num_attention_heads": 30, "connector_num_layers": 2}
_LTX_2_3 = {
    **_ALL,
    "apply_gated_attention": True,
    "audio_connector_attention_head_dim": 64,
    "audio_connector_num_attention_heads": 32,
    "caption_proj_before_connector": True,
    "caption_proj_input_norm": False,
    "caption_projection_first_linear": False,
    "caption_projection_second_linear": False,
    "connector_apply_gated_attention": True,
    "connector_learnable_registers_std": 1,
    "connector_num_attention_heads": 32,
    "connector_num_layers": 8,
    "cross_attention_adaln": True,
    "text_encoder_norm_type": "per_token_rms",
}
_LTX_2_5 = {**_LTX_2_3, "ff_bias": False, "use_keyframes_abs_pos_embedding": True}

_WIDTHS = {"patchify_proj.weight": (4096, 128), "audio_patchify_proj.weight": (2048, 128)}
_LAST_BLOCK = f"transformer_blocks.{_ALL['num_layers'] - 1}."


def released_metadata(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return the metadata of the released model whose transformer has tensors of these names and shapes.

    {} where it is none: another width, or other blocks.
    """
    bare = {name.removeprefix(TRANSFORMER_PREFIX): shape for name, shape in shapes.items()}
    if any(bare.get(name) != shape for name, shape in _WIDTHS.items()):
        return {}
    if not any(name.startswith(_LAST_BLOCK) for name in bare):
        return {}
    # LTX-2.5 alone has the keyframes' embedding, and LTX-2 has no modulation of prompts.
    if "keyframes_abs_pos_embedding" in bare:
        version, transformer = "2.5.0", _LTX_2_5
    elif "prompt_adaln_single.linear.weight" in bare:
        version, transformer = "2.3.0", _LTX_2_3
    else:
        version, transformer = "2.0.0", _LTX_2
    return {"config": json.dumps({"transformer": transformer}), "model_version": version}
