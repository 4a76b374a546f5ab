"""A LoRA of any layout written in upstream's: `diffusion_model.MODULE.lora_A.weight` and `lora_B`, without alphas."""

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ltx_core.loader.lora_names import ALPHA, A, B, kinds, loader_names
from ltx_core.weight_files.errors import UnreadableFile, WeightFileError
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.opening import open_weights
from ltx_core.weight_files.output_file import Entry, new_file, require_place
from ltx_core.weight_files.plan import Target
from ltx_core.weight_files.weights import Weight

logger: logging.Logger = logging.getLogger(__name__)

_SUFFIX = ".safetensors"
_PREFIX = "diffusion_model."
_FACTORS = re.compile(r"\.(lora_(A|B|down|up)|lora\.(down|up))\b")
_KIN = {"lokr_": "LoKr", "hada_": "LoHa", "dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "oft_": "OFT"}
_BLOCK = re.compile(r"transformer_blocks[._](\d+)[._]")
_ATTENTIONS = ("attn1", "attn2", "audio_attn1", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn")
_IN_BLOCKS = (
    *(f"{attn}.{layer}" for attn in _ATTENTIONS for layer in ("to_q", "to_k", "to_v", "to_out.0", "to_gate_logits")),
    *(f"{ff}.net.{layer}" for ff in ("ff", "audio_ff") for layer in ("0.proj", "2")),
)
_MODULATIONS = (
    *("adaln_single", "audio_adaln_single", "prompt_adaln_single", "audio_prompt_adaln_single"),
    *("av_ca_video_scale_shift_adaln_single", "av_ca_audio_scale_shift_adaln_single"),
    *("av_ca_a2v_gate_adaln_single", "av_ca_v2a_gate_adaln_single"),
)
_OUTSIDE = (
    *("patchify_proj", "audio_patchify_proj", "proj_out", "audio_proj_out"),
    *(f"{name}caption_projection.linear_{number}" for name in ("", "audio_") for number in (1, 2)),
    *(f"{name}.emb.timestep_embedder.linear_{number}" for name in _MODULATIONS for number in (1, 2)),
    *(f"{name}.linear" for name in _MODULATIONS),
)
_AGAIN = "download the file again, from the page that it came from"


@dataclass(frozen=True)
class LoraConversion:
    """What a finished conversion has written."""

    output: Path
    modules: int
    left_out: int  # tensors that change no module of the transformer


@dataclass(frozen=True)
class _Pair:
    """The factors of one module, and by how much their product counts."""

    module: str
    a: Weight  # (rank, in)
    b: Weight  # (out, rank)
    scale: float

    @property
    def entries(self) -> tuple[Entry, Entry]:
        return (
            Entry(f"{_PREFIX}{self.module}{A}", torch.bfloat16, self.a.shape),
            Entry(f"{_PREFIX}{self.module}{B}", torch.bfloat16, self.b.shape),
        )

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        b = self.b.read() if self.scale == 1 else self.b.read().to(torch.float64) * self.scale
        return self.a.read().to(torch.bfloat16), b.to(torch.bfloat16)


def is_lora_file(path: Path) -> bool:
    """Whether a file holds a LoRA or one of its kin. Raises: UnreadableFile."""
    return path.is_file() and path.suffix == _SUFFIX and _is_lora(tensor.name for tensor in read_header(path).tensors)


def transformer_modules(blocks: int) -> frozenset[str]:
    """Every linear layer of a transformer of LTX-2 19B, LTX-2.3 or LTX-2.5 with so many blocks."""
    inside = (f"transformer_blocks.{block}.{name}" for block in range(blocks) for name in _IN_BLOCKS)
    return frozenset((*inside, *_OUTSIDE))


def convert_lora(inputs: Sequence[Path], output: Path, target: Target) -> LoraConversion:
    """Write `output`, in bf16; it appears complete or not at all. An alpha over its rank goes into B.

    Raises: UnreadableFile, UnwritableOutput, WeightFileError.
    """
    if len(inputs) > 1:
        raise WeightFileError("a LoRA is converted by itself", "give one file at a time")
    if target is not Target.BF16:
        raise WeightFileError(f"{inputs[0]} is a LoRA, which is written in bf16", "give --to bf16")
    (path,) = inputs
    require_place(output)
    with open_weights(path) as weights:
        by_name = {weight.name: weight for weight in weights}
        if other := next((kind for part, kind in _KIN.items() if any(part in name for name in by_name)), None):
            raise WeightFileError(
                f"{path} is a {other}, and upstream reads plain LoRAs alone",
                "give a plain LoRA, for example one that was extracted from what it makes",
            )
        blocks = max((int(number) + 1 for name in by_name for number in _BLOCK.findall(name)), default=0)
        names = loader_names(by_name, transformer_modules(blocks))
        pairs = list(_pairs(path, {names[name]: by_name[name] for name in names}))
        if not pairs:
            raise WeightFileError(
                f"{path} changes no layer of an LTX-2 transformer ({kinds(by_name)})",
                "give a LoRA that was trained for LTX-2",
            )
        left = [name for name in by_name if name not in names]
        if left:
            logger.warning(f"{path}: left out, changing nothing of the transformer: {kinds(left)}")
        entries = [entry for pair in pairs for entry in pair.entries]
        with new_file(output, entries, {"format": "pt", **weights.metadata}) as file:
            for pair in pairs:
                for entry, tensor in zip(pair.entries, pair.tensors(), strict=True):
                    file.write(entry, tensor)
    return LoraConversion(output, len(pairs), len(left))


def _is_lora(names: Iterable[str]) -> bool:
    return any(_FACTORS.search(name) or any(part in name for part in _KIN) for name in names)


def _pairs(path: Path, by_key: Mapping[str, Weight]) -> Iterator[_Pair]:
    for module in sorted({key.removesuffix(end) for key in by_key for end in (A, B) if key.endswith(end)}):
        a, b, alpha = (by_key.get(module + end) for end in (A, B, ALPHA))
        if a is None or b is None or len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            raise UnreadableFile(f"{path}: what changes {module} is no pair that can be multiplied", _AGAIN)
        rank = a.shape[0]
        value = float(rank) if alpha is None else _number(path, module, alpha)
        yield _Pair(module, a, b, value / rank)


def _number(path: Path, module: str, alpha: Weight) -> float:
    if math.prod(alpha.shape) != 1 or not math.isfinite(value := alpha.read().item()):
        raise UnreadableFile(f"{path}: the alpha of {module} is no number", _AGAIN)
    return value
