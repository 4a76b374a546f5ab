"""Fold the scales of a prequantized fp8 checkpoint into its weights while it loads.
Such a file (ltx-2.3-22b-dev-fp8.safetensors) holds a linear layer's weight W, (out, in), as float8_e4m3fn `weight` and
one float32 `weight_scale`, with W = weight * weight_scale, and an `input_scale` for a matmul in fp8. A model that only
stores its weights in fp8 and computes in bf16 has no place for the scales: read without them, every weight is some
hundred times too large and the clip is noise (LTX-2 issue 193).
"""

import safetensors
import torch

from ltx_core.loader.sd_ops import KeyValueOperationResult, SDOps

_SCALE = "_scale"
_INPUT_SCALE = ".input_scale"


def folding_scales(checkpoint_path: str, renaming: SDOps, then: SDOps) -> SDOps:
    """Return sd_ops that give `then` the weights of `checkpoint_path` with their scales folded in, as float32.
    What `then` leaves in float32 becomes bf16, the dtype of the layers that a prequantized file does not scale. Scales
    do not reach the model. For a file without scales this is `then` itself, so it loads as it always did.
    Only the header and the scales are read here. `renaming` turns the file's keys into the model's.
    Raises:
        ValueError: a scale is not one number for its whole tensor.
    """
    scales = _read_scales(checkpoint_path, renaming)
    if not scales:
        return then

    def fold(key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        if key.endswith(_INPUT_SCALE) or (key.endswith(_SCALE) and key.removesuffix(_SCALE) in scales):
            return []
        if key not in scales:
            return then.apply_to_key_value(key, value)
        folded = then.apply_to_key_value(key, value.to(torch.float32).mul_(scales[key]))
        return [_without_float32(result) for result in folded]

    return SDOps(f"{then.name}_FOLDING_SCALES").with_kv_operation(fold)


def _read_scales(checkpoint_path: str, renaming: SDOps) -> dict[str, float]:
    """Return {the model's key: scale} for each tensor of the file that has a `*_scale` beside it."""
    scales = {}
    with safetensors.safe_open(checkpoint_path, framework="pt") as file:
        names = set(file.keys())
        for name in sorted(names):
            scaled = name.removesuffix(_SCALE)
            if scaled == name or scaled not in names or (key := renaming.apply_to_key(scaled)) is None:
                continue
            scale = file.get_tensor(name)
            if scale.numel() != 1:
                raise ValueError(
                    f"{checkpoint_path}: {name} has shape {tuple(scale.shape)}, and only one scale for a whole tensor "
                    "can be folded: use the bf16 checkpoint with --quantization fp8-cast."
                )
            scales[key] = scale.item()
    return scales


def _without_float32(result: KeyValueOperationResult) -> KeyValueOperationResult:
    key, value = result
    return KeyValueOperationResult(key, value.to(torch.bfloat16) if value.dtype == torch.float32 else value)
