"""How far products in 8 and 4 bits are from float64, by layer and by whole transformer.

    PYTHONPATH=<tree>/packages/ltx-core/src python -m verify.campaigns.int8_errors BASE OUT.json

Each kind of layer of a block at its true width, fewer rows: int8 with and without rotation,
fp8-cast, fp8-scaled-mm, NF4 and bf16 itself. Its inputs are normal, or with one channel in 400
thirty times as large; those of a down projection have gone through GELU. With --size full, which
needs a GPU of 80 GB, or tiny, LTX-2.3's transformer with random weights runs too: once in bf16, to
record what each kind of layer is given in its middle block, and once by each way, for what becomes
of its outputs. Errors are the norm of the difference over that of what it should be. Ends with 1
where rotated int8 is not better than fp8-cast everywhere, or worse than half a bit on outliers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from bitsandbytes import functional as bnb
from ltx_core.int8.launching import multiplied, rows_of
from ltx_core.int8.rotation import GROUP
from ltx_core.int8.rows import quantize_rows
from torch.nn.functional import gelu, linear

from verify import command
from verify.campaigns.random_transformer import modalities, transformer
from verify.campaigns.reports import hand_over, report_parser
from verify.synthetic.architecture import SIZES, Variant
from verify.upstream.provenance import provenance
from verify.vram.requests import require_place

FP8 = torch.float8_e4m3fn
ROWS, COLUMNS = 256, 1024
"""Of x and of W: enough for an error's second digit, and a CPU is done in a minute."""
OUTLIER_EVERY, OUTLIER_TIMES = 400, 30
_WEIGHT_STD = 0.03
_LINEARS = (".to_q", ".to_k", ".to_v", ".to_out.0", "ff.net.0.proj", "ff.net.2")
"""What fp8-cast and int8 take of a block."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A layer of a block."""

    name: str
    into: int
    gelu: bool = False  # its inputs have gone through it


KINDS = (
    Kind("attn1.to_q", 4096),
    Kind("attn1.to_out.0", 4096),
    Kind("attn2.to_k", 4096),
    Kind("ff.net.0.proj", 4096),
    Kind("ff.net.2", 16384, gelu=True),
    Kind("audio_attn1.to_q", 2048),
    Kind("audio_attn1.to_out.0", 2048),
    Kind("audio_ff.net.0.proj", 2048),
    Kind("audio_ff.net.2", 8192, gelu=True),
    Kind("audio_to_video_attn.to_q", 4096),
    Kind("audio_to_video_attn.to_out.0", 2048),
    Kind("video_to_audio_attn.to_k", 4096),
)

Way = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(x (..., K), weight (N, K), the largest input seen before) -> x times weight, in bf16."""


def by_bf16(x: torch.Tensor, weight: torch.Tensor, _largest: float) -> torch.Tensor:
    """As without quantization."""
    return linear(x, weight)


def by_int8(
    x: torch.Tensor, weight: torch.Tensor, _largest: float, *, turned: bool
) -> torch.Tensor:
    """Codes of both with a scale a row, rotated or not; a tiny model has smaller groups."""
    width = x.shape[-1]
    group = next(n for n in (GROUP, 64, 16) if width % n == 0) if turned else None
    made: torch.Tensor = multiplied(
        rows_of(x.contiguous(), group), quantize_rows(weight, group=group), None, x.dtype
    )
    return made


def by_fp8_cast(x: torch.Tensor, weight: torch.Tensor, _largest: float) -> torch.Tensor:
    """The weight cast, and cast back to multiply."""
    return linear(x, weight.to(FP8).to(x.dtype))


def by_fp8_scaled(x: torch.Tensor, weight: torch.Tensor, largest: float) -> torch.Tensor:
    """Both in fp8 with a scale a tensor, that of the input as it was calibrated."""
    most = torch.finfo(FP8).max
    scale, weight_scale = largest / most, weight.abs().max().float() / most
    codes = (x.float() / scale).clamp(-most, most).to(FP8)
    weights = (weight.float() / weight_scale).to(FP8)
    return (linear(codes.float(), weights.float()) * (scale * weight_scale)).to(x.dtype)


def by_nf4(x: torch.Tensor, weight: torch.Tensor, _largest: float) -> torch.Tensor:
    """The weight in 4 bits with double quantization, as a quantized Gemma's."""
    codes, state = bnb.quantize_4bit(
        weight.contiguous(), compress_statistics=True, quant_type="nf4"
    )
    return linear(x, bnb.dequantize_4bit(codes, state).to(x.dtype))


WAYS: Mapping[str, Way] = {
    "bf16": by_bf16,
    "int8": partial(by_int8, turned=True),
    "int8, not rotated": partial(by_int8, turned=False),
    "fp8-cast": by_fp8_cast,
    "fp8-scaled-mm": by_fp8_scaled,
    "nf4": by_nf4,
}


def relative(made: torch.Tensor, wanted: torch.Tensor) -> float:
    """The norm of their difference over that of `wanted`."""
    return float((made.double() - wanted.double()).norm() / wanted.double().norm())


def errors(x: torch.Tensor, weight: torch.Tensor, largest: float) -> dict[str, float]:
    """Of each way, against float64 on the same bf16 operands."""
    wanted = linear(x.double(), weight.double())
    return {name: relative(way(x, weight, largest), wanted) for name, way in WAYS.items()}


def inputs(kind: Kind, rows: int, *, outliers: bool, device: torch.device) -> torch.Tensor:
    """Random inputs of a layer, (rows, K) in bf16."""
    x = torch.randn(rows, kind.into, device=device)
    if kind.gelu:
        x = gelu(x, approximate="tanh")
    if outliers:
        x[:, ::OUTLIER_EVERY] *= OUTLIER_TIMES
    return x.to(torch.bfloat16)


def layers(device: torch.device) -> Iterator[dict[str, Any]]:
    """A row a kind of layer and kind of inputs."""
    for kind in KINDS:
        weight = torch.randn(COLUMNS, kind.into, device=device).mul_(_WEIGHT_STD)
        for outliers in (False, True):
            x, before = (inputs(kind, ROWS, outliers=outliers, device=device) for _ in range(2))
            found = errors(x, weight.to(torch.bfloat16), float(before.abs().max()))
            given = "outliers" if outliers else "normal"
            yield {"layer": kind.name, "into": kind.into, "inputs": given, "errors": found}


def whole(size: str, device: torch.device) -> dict[str, Any]:
    """The errors of a whole transformer's outputs, and on what its layers are given."""
    model = transformer(Variant.LTX_2_3, size, device)
    tokens = (16, 16, 24) if size == "full" else (3, 4, 4)
    given = modalities(model, tokens, device)
    chosen = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.startswith("transformer_blocks.")
        and name.endswith(_LINEARS)
    }
    middle = f"transformer_blocks.{len(model.transformer_blocks) // 2}."
    seen: dict[str, torch.Tensor] = {}
    largest: dict[str, float] = {}

    def recorded(name: str, x: torch.Tensor) -> None:
        largest[name] = float(x.abs().max())
        if name.startswith(middle):
            seen[name.removeprefix(middle)] = x.flatten(0, -2)[:ROWS].clone()

    def run(way: Way | None) -> tuple[torch.Tensor, torch.Tensor]:
        with _going(chosen, way, largest, recorded if way is None else None):
            made: tuple[torch.Tensor, torch.Tensor] = model(*given, None)
        return made

    plain = run(None)
    outputs = {
        name: {
            part: relative(made, wanted)
            for part, made, wanted in zip(("video", "audio"), run(way), plain, strict=True)
        }
        for name, way in WAYS.items()
        if name != "bf16"
    }
    rows = [
        {
            "layer": name,
            "into": x.shape[-1],
            "inputs": "of a run",
            "errors": errors(x, chosen[middle + name].weight, largest[middle + name]),
        }
        for name, x in seen.items()
    ]
    return {"size": size, "video_tokens": tokens[0] * tokens[1] * tokens[2], "outputs": outputs} | {
        "layers": rows
    }


@contextmanager
def _going(
    chosen: Mapping[str, torch.nn.Module],
    way: Way | None,
    largest: Mapping[str, float],
    record: Callable[[str, torch.Tensor], None] | None,
) -> Iterator[None]:
    """Within it, layers go that way, or their own and are recorded."""

    def forward(name: str, module: Any, x: torch.Tensor) -> torch.Tensor:
        if record is not None:
            record(name, x)
        if way is None:
            return linear(x, module.weight, module.bias)
        out = way(x, module.weight, largest[name])
        return out if module.bias is None else out + module.bias

    for name, module in chosen.items():
        vars(module)["forward"] = partial(forward, name, module)
    try:
        yield
    finally:
        for module in chosen.values():
            del vars(module)["forward"]


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Where rotated int8 is not what it is for."""
    wrong = []
    for row in rows:
        found = row["errors"]
        if not found["int8"] < found["fp8-cast"]:
            wrong.append(f"{row['layer']}, {row['inputs']}: int8 is not better than fp8-cast")
        if row["inputs"] == "outliers" and not found["int8"] < found["int8, not rotated"]:
            wrong.append(f"{row['layer']}, {row['inputs']}: the rotation gains nothing")
    return wrong


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = report_parser("verify.campaigns.int8_errors", __doc__, "table")
    parser.add_argument("--size", choices=tuple(SIZES), help="run a whole transformer of that size")
    return parser


@torch.inference_mode()
def run(args: argparse.Namespace) -> int:
    """Measure and write the table: 0, or 1 where rotated int8 is not what it is for."""
    require_place(args.out)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report: dict[str, Any] = {
        **provenance(args.base, "int8_errors"),
        "layers": list(layers(device)),
    }
    if args.size:
        report["transformer"] = whole(args.size, device)
    report["failures"] = failures(report["layers"])
    return hand_over(report, args.out)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
