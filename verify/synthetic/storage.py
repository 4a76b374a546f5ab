"""How the Linears of a checkpoint's transformer blocks are stored, as checkpoints are published."""

import re
from collections.abc import Mapping

import torch

from verify.synthetic.architecture import Blocks, Variant
from verify.synthetic.tensorfile import Kind, Shapes
from verify.synthetic.weights import LARGEST, Drawn, Given, fan_in

_BLOCK = re.compile(r"model\.diffusion_model\.transformer_blocks\.(?P<number>\d+)\.(?P<rest>.+)")

# Upstream's TRANSFORMER_LINEAR_DOWNCAST_MAP: weights and biases of attention and feed-forward.
_CAST = re.compile(r"(.*\.to_[qkv]|.*\.to_out\.0|.*ff\.net\.0\.proj|.*ff\.net\.2)\.(weight|bias)")

# These blocks stay bf16. For 19B they are upstream's EXCLUDED_LAYER_SUBSTRINGS (ae855f8). For 22B
# upstream counted the scales: 2924 in the dev file, which makes 43 blocks of 34 Linears (2992 in
# the distilled one, so 44 blocks); which blocks they are is inferred from the list for 19B.
_KEPT = {
    Variant.LTX_2: {0, *range(43, 48)},
    Variant.LTX_2_3: {0, *range(44, 48)},
    Variant.LTX_2_5: {0, *range(44, 48)},
}

_LARGEST_FP8 = torch.finfo(torch.float8_e4m3fn).max
_INPUT_SCALE = 2**-5  # for activations up to 14; what the published ones are is not known


def stored(shapes: Shapes, blocks: Blocks, variant: Variant) -> dict[str, Drawn | Given]:
    """Each tensor of a checkpoint of `shapes`, and the scales that `blocks` puts beside them."""
    contents: dict[str, Drawn | Given] = {}
    for name, shape in shapes.items():
        of_block = _BLOCK.fullmatch(name)
        if of_block is None or blocks is Blocks.BF16:
            contents[name] = Drawn(name, Kind(shape, torch.bfloat16))
        elif blocks is Blocks.FP8:
            cast = _CAST.fullmatch(of_block["rest"])
            contents[name] = Drawn(
                name, Kind(shape, torch.float8_e4m3fn if cast else torch.bfloat16)
            )
        else:
            stays_bf16 = int(of_block["number"]) in _KEPT[variant]
            linear = name.endswith(".weight") and len(shape) == 2  # norms have one, tables no name
            contents |= (
                _scaled(name, shape)
                if linear and not stays_bf16
                else {name: Drawn(name, Kind(shape, torch.bfloat16))}
            )
    return contents


def _scaled(name: str, shape: tuple[int, ...]) -> Mapping[str, Drawn | Given]:
    """The weight spread over the range of fp8, and its scales, float32 of shape ()."""
    scale = torch.tensor(LARGEST / fan_in(shape) ** 0.5 / _LARGEST_FP8)
    return {
        name: Drawn(name, Kind(shape, torch.float8_e4m3fn), scale.item()),
        f"{name}_scale": Given(scale),
        f"{name.removesuffix('weight')}input_scale": Given(torch.tensor(_INPUT_SCALE)),
    }
