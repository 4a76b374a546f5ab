"""Whether bitsandbytes works here, seen by a small product on the device."""

import torch

from ltx_core.text_encoders.gemma.quantized.errors import BitsAndBytesUnavailable
from ltx_core.text_encoders.gemma.quantized.mode import Mode

_FEATURES = 64  # of the probe, in and out; CPU kernels need a multiple of 64
_LEAST_COSINE = 0.98  # of the probe's product to the exact one: NF4 gives 0.995, 8-bit 0.9999
_INSTALL = "run: pip install 'bitsandbytes>=0.47'"


def require_bitsandbytes(mode: Mode, device: torch.device) -> None:
    """bitsandbytes quantizes and multiplies on `device`. Raises: BitsAndBytesUnavailable."""
    try:
        import bitsandbytes  # noqa: F401, PLC0415
    except Exception as error:  # a broken installation fails with more than ImportError
        raise BitsAndBytesUnavailable(f"bitsandbytes cannot be imported ({_first_line(error)})", _INSTALL) from error
    try:
        cosine = _probe(mode, device)
    except Exception as error:  # its backends fail with whatever their library throws
        raise BitsAndBytesUnavailable(
            f"bitsandbytes does not work on {device} ({_first_line(error)})",
            f"{_INSTALL}, built for this PyTorch ({torch.__version__})",
        ) from error
    if not cosine >= _LEAST_COSINE:  # NaN included
        raise BitsAndBytesUnavailable(
            f"bitsandbytes multiplies wrongly on {device} (cosine {cosine:.3f} to the exact product)", _INSTALL
        )


@torch.inference_mode()
def _probe(mode: Mode, device: torch.device) -> float:
    """The cosine of a quantized product to the exact one."""
    from ltx_core.text_encoders.gemma.quantized.layers import Linear4bit, Linear8bit  # noqa: PLC0415
    from ltx_core.text_encoders.gemma.quantized.quantize import quantized_parts  # noqa: PLC0415

    own = torch.Generator().manual_seed(0)  # the caller's random numbers stay what they would be without a probe
    weight, rows = (torch.randn(count, _FEATURES, generator=own).to(device, torch.bfloat16) for count in (_FEATURES, 8))
    parts = quantized_parts(weight, mode, device, device)
    if mode is Mode.NF4:
        shape = tuple(parts["weight"].shape)
        layer: torch.nn.Module = Linear4bit(
            _FEATURES, _FEATURES, bias=False, packed_shape=shape, packed_dtype=torch.uint8, quant_type="nf4"
        )
    else:
        layer = Linear8bit(_FEATURES, _FEATURES, bias=False)
    layer.load_state_dict(parts, strict=False, assign=True)
    return torch.nn.functional.cosine_similarity(
        layer.eval()(rows).float().flatten(), (rows @ weight.T).float().flatten(), dim=0
    ).item()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
