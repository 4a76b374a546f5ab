"""How the tensors of a LoRA are named in each layout in circulation, and which name the loader reads.

A LoRA file holds two matrices for each linear layer that it changes, its module: A, (rank, in), and B, (out, rank). The
loader adds B @ A to the weight of the module whose name stands before ".lora_A.weight" and ".lora_B.weight", once it
took "diffusion_model." out, and passes other names by in silence. PEFT, diffusers, kohya's trainers and LyCORIS write
other names, as the tables here say. The tool that checks files before a run executes this module too, so it needs the
standard library alone.
"""

import re
from collections import Counter
from collections.abc import Iterable

A, B, ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"

ROLES = {"lora_A": A, "lora_down": A, "lora.down": A, "lora_B": B, "lora_up": B, "lora.up": B}
"""What stands between the module and ".weight", PEFT with the adapter's name after it: "lora_A.default"."""

PREFIXES = (
    *("diffusion_model_", "model_", "transformer_", "base_model_model_"),
    *("lora_unet_", "lora_transformer_", "lycoris_"),
)
"""What may stand before a module, also one after another; dots are underscores here, as kohya writes them."""

DIFFUSERS = {
    "patchify_proj": "proj_in",
    "audio_patchify_proj": "audio_proj_in",
    "adaln_single": "time_embed",
    "audio_adaln_single": "audio_time_embed",
    "prompt_adaln_single": "prompt_adaln",
    "audio_prompt_adaln_single": "audio_prompt_adaln",
    "av_ca_video_scale_shift_adaln_single": "av_cross_attn_video_scale_shift",
    "av_ca_audio_scale_shift_adaln_single": "av_cross_attn_audio_scale_shift",
    "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate",
    "av_ca_v2a_gate_adaln_single": "av_cross_attn_audio_v2a_gate",
}
"""The outermost part of a module's name, and diffusers' name for it (its convert_ltx2_to_diffusers.py)."""

_ROLE = "|".join(map(re.escape, ROLES))
_PART = re.compile(rf"(?P<module>.+)\.(?:(?P<role>{_ROLE})(?:\.[^.]+)?\.weight|alpha)")
_SHOWN = 3


def loader_names(names: Iterable[str], modules: Iterable[str]) -> dict[str, str]:
    """Return {a name in a LoRA file: `MODULE.lora_A.weight`, `MODULE.lora_B.weight` or `MODULE.alpha`}.
    `modules` are those of the transformer; names that belong to none of them are left out.
    """
    known = _spellings(modules)
    found = {}
    for name in names:
        if (part := _PART.fullmatch(name)) and (module := _module(part["module"], known)):
            found[name] = module + ROLES.get(part["role"], ALPHA)
    return found


def kinds(names: Iterable[str]) -> str:
    """Return the commonest kinds of `names`, blocks counted together: "transformer_blocks.N.attn1.to_q (28)"."""
    counted = Counter(re.sub(r"(?<=[._])\d+(?=[._])", "N", name) for name in names)
    shown = ", ".join(f"{kind} ({count})" for kind, count in counted.most_common(_SHOWN))
    more = len(counted) - _SHOWN
    return f"{shown} and {more} more kinds" if more > 0 else shown


def _spellings(modules: Iterable[str]) -> dict[str, str]:
    """Return {each name of a module, with underscores for dots: the module}."""
    found = {}
    for module in modules:
        outermost, dot, inner = module.partition(".")
        for name in (outermost, DIFFUSERS.get(outermost, outermost)):
            found[f"{name}{dot}{inner}".replace(".", "_")] = module
    return found


def _module(name: str, known: dict[str, str]) -> str | None:
    form = name.replace(".", "_")
    while form not in known:
        prefix = next((prefix for prefix in PREFIXES if form.startswith(prefix)), None)
        if prefix is None:
            return None
        form = form.removeprefix(prefix)
    return known[form]
