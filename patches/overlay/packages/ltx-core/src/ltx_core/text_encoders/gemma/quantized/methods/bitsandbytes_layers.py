"""Linear layers that take the serialized parts of a quantized weight, wherever and as often as they are loaded.

bitsandbytes' own layers quantize a float weight when it is moved. These are made on the meta device with the shape of
the quantized weight, so that `load_state_dict(assign=True)` finds equal shapes, and make a fresh parameter of the
parts on each load: inference changes parameters in place (bitsandbytes takes the int8 scales off the weight, and
repacks 4-bit weights for CPUs with AVX512-BF16), so two models must not share one. Scales live on the parameter alone:
whoever moves, replaces or drops it moves, frees or drops them.
"""

import logging
from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import torch

# Logged at every product of every layer; casting to float16 is how LLM.int8 works, and nothing a user could change.
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
        self.quant_storage = packed_dtype
        self._packed_shape, self._quant_type = packed_shape, quant_type
        self.weight = self._empty_weight()

    def _empty_weight(self) -> bnb.nn.Params4bit:
        packed = torch.empty(self._packed_shape, dtype=self.quant_storage, device="meta")
        return bnb.nn.Params4bit(packed, quant_type=self._quant_type, bnb_quantized=True)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: object) -> None:
        if (weight := state_dict.get(f"{prefix}weight")) is not None:
            names = [name for name in state_dict if name.startswith(f"{prefix}weight.")]
            parts = {name.removeprefix(prefix): state_dict.pop(name) for name in names}
            state_dict[f"{prefix}weight"] = bnb.nn.Params4bit.from_prequantized(weight, parts, device=weight.device)
            self.weight = self._empty_weight()  # a used weight may be repacked, in a shape that no stored one has
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "Linear4bit":
        if _frees(fn):
            self.weight = self._empty_weight()
        super()._apply(fn, recurse)
        return self


class Linear8bit(bnb.nn.Linear8bitLt):
    """A Linear over an int8 weight (out, in) with one float32 scale a row, LLM.int8."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool):
        super().__init__(
            in_features, out_features, bias, has_fp16_weights=False, threshold=_INT8_THRESHOLD, device="meta"
        )
        self.weight = self._empty_weight()

    def _empty_weight(self) -> bnb.nn.Int8Params:
        return _int8_params(torch.empty((self.out_features, self.in_features), dtype=torch.int8, device="meta"), None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return super().forward(x)
        finally:  # bitsandbytes has moved them to the state, which would outlive the parameter
            self.weight.CB, self.weight.SCB = self.state.CB, self.state.SCB
            self.state.CB = self.state.SCB = None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: object) -> None:
        if (weight := state_dict.get(f"{prefix}weight")) is not None:
            state_dict[f"{prefix}weight"] = _int8_params(weight, state_dict.pop(f"{prefix}SCB"))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "Linear8bit":
        if _frees(fn):
            self.weight = self._empty_weight()
        super()._apply(fn, recurse)
        if getattr(self.weight, "SCB", None) is not None:  # torch has moved the parameter's data alone
            self.weight.CB, self.weight.SCB = self.weight.data, self.weight.SCB.to(self.weight.device)
        return self


def _frees(fn: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether `fn`, given to `_apply`, is `to("meta")`: how upstream's gpu_model frees a model (2026-03-30 on).

    torch cannot make a meta parameter of one of bitsandbytes' with its data.
    """
    return fn(torch.empty(0)).is_meta


def _int8_params(weight: torch.Tensor, scales: torch.Tensor | None) -> bnb.nn.Int8Params:
    held = None if scales is None else weight
    return bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False, CB=held, SCB=scales)
