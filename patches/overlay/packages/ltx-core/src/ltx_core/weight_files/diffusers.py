"""How diffusers names the tensors of an LTX-2 transformer and its connectors, and upstream's names for them.

From its converter, scripts/convert_ltx2_to_diffusers.py (diffusers 58eb52c, August 2026), backwards: LTX-2 19B, 2.3 and
2.5. It renames VAEs and vocoder too, block by block; those are taken from the published files.
"""

import re

from ltx_core.loader.lora_names import DIFFUSERS

_PARTS = {
    **{theirs: ours for ours, theirs in DIFFUSERS.items()},
    "video_connector": "video_embeddings_connector",
    "audio_connector": "audio_embeddings_connector",
    "text_proj_in": "text_embedding_projection.aggregate_embed",
    "video_text_proj_in": "text_embedding_projection.video_aggregate_embed",
    "audio_text_proj_in": "text_embedding_projection.audio_aggregate_embed",
}
_CONNECTORS = ("video_connector", "audio_connector")
_TABLE = re.compile(r"\.(video|audio)_a2v_cross_attn_scale_shift_table$")
_NORM = re.compile(r"\.norm_([qk])\.")

HEADS = frozenset(_PARTS)
"""First words that are diffusers' alone."""


def upstream_name(name: str) -> str:
    """Return upstream's name, without a prefix, of a tensor of a transformer or of connectors; its own where it is one.

    Nothing that upstream calls by these words is called otherwise by diffusers, so no file has to be told apart first.
    """
    head, dot, rest = name.partition(".")
    if head in _CONNECTORS:
        rest = rest.replace("transformer_blocks.", "transformer_1d_blocks.", 1)
    named = f"{_PARTS.get(head, head)}{dot}{rest}"
    return _NORM.sub(r".\1_norm.", _TABLE.sub(r".scale_shift_table_a2v_ca_\1", named))
