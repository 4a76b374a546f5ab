"""bitsandbytes, as a config.json states it, and whether it works here: seen by a small product on the device."""

from collections.abc import Mapping
from typing import Any

import torch

from ltx_core.text_encoders.gemma.quantized.errors import BitsAndBytesUnavailable
from ltx_core.text_encoders.gemma.quantized.methods.method import Method

_FEATURES = 64  # of the probe, in and out; CPU kernels need a multiple of 64
_LEAST_COSINE = 0.98  # of the probe's product to the exact one: NF4 gives 0.995, 8-bit 0.9999
_INSTALL = "run: pip install 'bitsandbytes>=0.47'"


def is_of_bitsandbytes(settings: Mapping[str, Any]) -> bool:
    """Whether a `quantization_config` is bitsandbytes'; older releases of transformers left `quant_method` out."""
    return settings.get("quant_method", "bitsandbytes") == "bitsandbytes"


def require_bitsandbytes(method: Method, device: torch.device) -> None:
    """bitsandbytes quantizes by the method and multiplies on `device`. Raises: BitsAndBytesUnavailable."""
    try:
        import bitsandbytes  # noqa: F401, PLC0415 - to see whether it can be imported
    except Exception as error:  # a broken installation fails with more than ImportError
        raise BitsAndBytesUnavailable(f"bitsandbytes cannot be imported ({_first_line(error)})", _INSTALL) from error
    try:
        cosine = _probe(method, device)
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
def _probe(method: Method, device: torch.device) -> float:
    """The cosine of a quantized product to the exact one."""
    own = torch.Generator().manual_seed(0)  # the caller's random numbers stay what they would be without a probe
    weight, rows = (torch.randn(count, _FEATURES, generator=own).to(device, torch.bfloat16) for count in (_FEATURES, 8))
    linear = torch.nn.Linear(_FEATURES, _FEATURES, bias=False, device="meta")
    layer = method.layer(linear, method.packed(weight.shape))
    layer.load_state_dict(method.quantize(weight, device, device), strict=False, assign=True)
    return torch.nn.functional.cosine_similarity(
        layer.eval()(rows).float().flatten(), (rows @ weight.T).float().flatten(), dim=0
    ).item()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
