"""Weights to their quantized parts, a bounded piece at a time.

Both methods work on independent runs of a weight (64 consecutive values; one row), so quantizing piece by piece gives
the same bits as quantizing at once, and the temporaries stay small beside the largest tensor on every device.
"""

from collections.abc import Iterator

import bitsandbytes.functional as bnb
import torch

from ltx_core.text_encoders.gemma.quantized.mode import Mode

# Values in a piece. On a CPU its float32 temporaries (512 KiB) must stay below the weights that are kept (2 MiB and
# more): glibc keeps for itself what is smaller than the largest block ever given back, so larger ones would stay in
# the process between the weights. On a GPU pieces are large enough that 1300 of them make up a 12B model.
_CPU_PIECE = 128 * 1024
_GPU_PIECE = 8 * 1024 * 1024
_BLOCK = 64  # values that share one absmax: the default of bitsandbytes and transformers
_NESTED_BLOCK = 256  # absmax values that share one nested absmax: fixed in bitsandbytes' quantize_4bit


def quantized_parts(
    weight: torch.Tensor, mode: Mode, compute_device: torch.device, device: torch.device
) -> dict[str, torch.Tensor]:
    """The parts of a quantized layer on `device`, by their names below the layer.

    `weight` (out, in) is float32, float16 or bfloat16 and stays where it is; pieces of it go over bfloat16 (as
    transformers' `from_pretrained` with that dtype does) and are quantized on `compute_device`.
    """
    if mode is Mode.NF4:
        return _nf4_parts(weight, compute_device, device)
    return _int8_parts(weight, compute_device, device)


def cast_to(weight: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A copy of `weight` in `dtype` on `device`, made piece by piece."""
    result = torch.empty(weight.shape, dtype=dtype, device=device)
    flat = result.view(-1)
    for start, piece in _pieces(weight.reshape(-1), _piece_numel(device)):
        flat[start : start + len(piece)].copy_(piece)
    return result


def _nf4_parts(weight: torch.Tensor, compute_device: torch.device, device: torch.device) -> dict[str, torch.Tensor]:
    numel = weight.numel()
    packed = torch.empty((-(numel // -2), 1), dtype=torch.uint8, device=device)
    absmax = torch.empty(-(numel // -_BLOCK), dtype=torch.float32, device=compute_device)
    for start, piece in _pieces(weight.reshape(-1), _piece_numel(compute_device)):
        values, state = bnb.quantize_4bit(_bf16(piece, compute_device), blocksize=_BLOCK, quant_type="nf4")
        packed[start // 2 : start // 2 + len(values)].copy_(values)
        absmax[start // _BLOCK : start // _BLOCK + len(state.absmax)].copy_(state.absmax)
    # Double quantization as bitsandbytes' quantize_4bit does it with compress_statistics=True.
    offset = absmax.mean()
    absmax, nested = bnb.quantize_blockwise(absmax - offset, blocksize=_NESTED_BLOCK)
    whole = bnb.QuantState(
        absmax=absmax,
        shape=weight.shape,
        code=state.code,
        blocksize=_BLOCK,
        quant_type="nf4",
        dtype=torch.bfloat16,
        offset=offset,
        state2=nested,
    )
    parts = {f"weight.{name}": part.to(device) for name, part in whole.as_dict(packed=True).items()}
    return {"weight": packed, **parts}


def _int8_parts(weight: torch.Tensor, compute_device: torch.device, device: torch.device) -> dict[str, torch.Tensor]:
    values = torch.empty(weight.shape, dtype=torch.int8, device=device)
    scales = torch.empty(weight.shape[0], dtype=torch.float32, device=device)
    for start, rows in _pieces(weight, max(1, _piece_numel(compute_device) // weight.shape[1])):
        piece, scale, _ = bnb.int8_vectorwise_quant(_bf16(rows, compute_device).to(torch.float16))
        values[start : start + len(piece)].copy_(piece)
        scales[start : start + len(scale)].copy_(scale)
    # 0 is "row", the only layout that bitsandbytes still has.
    return {"weight": values, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}


def _piece_numel(device: torch.device) -> int:
    return _CPU_PIECE if device.type == "cpu" else _GPU_PIECE


def _pieces(tensor: torch.Tensor, length: int) -> Iterator[tuple[int, torch.Tensor]]:
    for start in range(0, len(tensor), length):
        yield start, tensor[start : start + length]


def _bf16(piece: torch.Tensor, device: torch.device) -> torch.Tensor:
    return piece.to(device).to(torch.bfloat16)
