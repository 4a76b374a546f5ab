"""Linear layers that take the serialized parts of a quantized weight, wherever and as often as they are loaded.

bitsandbytes' own layers quantize a float weight when it is moved; these are made on the meta device with the shape of
the quantized weight, so that `load_state_dict(assign=True)` finds equal shapes, and build fresh parameters from the
parts on each load: inference changes parameters in place (bitsandbytes takes the int8 scales off the weight, and
repacks 4-bit weights for CPUs with AVX512-BF16), so two models must not share one.
"""

import logging
from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import torch

# Said on every product of every layer; casting to float16 is how LLM.int8 works, and nothing a user could change.
_CAST_NOTICE = "MatMul8bitLt: inputs will be cast"
logging.getLogger("bitsandbytes.autograd._functions").addFilter(
    lambda record: not str(record.msg).startswith(_CAST_NOTICE)
)

_INT8_THRESHOLD = 6.0  # LLM.int8's outlier threshold: the default of transformers' BitsAndBytesConfig


class Linear4bit(bnb.nn.Linear4bit):
    """A Linear over a packed 4-bit weight, computing in bf16.

    `packed_shape` is (ceil(out * in / 2), 1) for bytes, less where the parts are packed into a wider dtype.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        packed_shape: tuple[int, ...],
        packed_dtype: torch.dtype,
        quant_type: str,
    ):
        super().__init__(
            in_features, out_features, bias, compute_dtype=torch.bfloat16, quant_type=quant_type, device="meta"
        )
        packed = torch.empty(packed_shape, dtype=packed_dtype, device="meta")
        self.weight = bnb.nn.Params4bit(packed, quant_type=quant_type, bnb_quantized=True, module=self)
        self.quant_storage = packed_dtype

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:  # noqa: ANN401
        if (weight := state_dict.get(f"{prefix}weight")) is not None:
            names = [name for name in state_dict if name.startswith(f"{prefix}weight.")]
            state_dict[f"{prefix}weight"] = bnb.nn.Params4bit.from_prequantized(
                weight,
                {name.removeprefix(prefix): state_dict.pop(name) for name in names},
                device=weight.device,
                module=self,
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


class Linear8bit(bnb.nn.Linear8bitLt):
    """A Linear over an int8 weight (out, in) with one float32 scale a row, LLM.int8."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool):
        super().__init__(
            in_features, out_features, bias, has_fp16_weights=False, threshold=_INT8_THRESHOLD, device="meta"
        )
        self.weight = _int8_params(torch.empty((out_features, in_features), dtype=torch.int8, device="meta"), None)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:  # noqa: ANN401
        if (weight := state_dict.get(f"{prefix}weight")) is not None:
            state_dict[f"{prefix}weight"] = _int8_params(weight, state_dict.pop(f"{prefix}SCB"))
            self.state.CB = self.state.SCB = None  # of the weight that this one takes the place of
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "Linear8bit":
        # torch moves the parameter's data alone; bitsandbytes computes with these, before the first forward on the
        # weight and afterwards on the state.
        super()._apply(fn, recurse)
        for holder in (self.weight, self.state):
            if getattr(holder, "SCB", None) is not None:
                holder.CB, holder.SCB = self.weight.data, holder.SCB.to(self.weight.device)
        return self


def _int8_params(weight: torch.Tensor, scales: torch.Tensor | None) -> bnb.nn.Int8Params:
    held = None if scales is None else weight
    return bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False, CB=held, SCB=scales)
