"""Compare the ways to fuse a LoRA into fp8-cast weights, on this machine's GPU.

    PYTHONPATH=<tree>/packages/ltx-core/src python -m verify.campaigns.fuse BASE OUT.json

At the shapes of LTX-2.3's Linears, on the same random weights and deltas, it runs the patched
upstream as this card would, as a card of compute capability 8.6 would (the capability is faked),
and rounding to nearest as upstream's pull request 297 proposed. For each it writes the error
against a float64 fuse, the time and the memory above what was held before. The two kernel ways must
give the same bits; Triton also compiles the kernel for 8.6 here, whatever the card. It ends with 1
if a claim of the patch does not hold. Needs torch with CUDA, triton and the patched ltx_core.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import triton
from ltx_core.loader.kernels import fused_add_round_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ltx2_patcher.values.errors import OutsideError
from verify import command
from verify.campaigns.fp8_fuse import BLOCK_SIZE, launch, upcast_and_round
from verify.campaigns.reports import hand_over, report_parser
from verify.upstream.provenance import provenance
from verify.vram.requests import require_place

FP8 = torch.float8_e4m3fn
SHAPES = ((4096, 4096), (16384, 4096), (4096, 16384), (2048, 2048), (8192, 2048), (32, 4096))
"""(out, in): video attention, feed-forward in and out, audio attention and feed-forward, gates."""
RANK = 384
WEIGHT_STD = 0.03
DELTA_SHARES = (0.01, 0.03, 0.1)
"""The delta's norm as a share of the weight's; half an fp8 step is a share of about 0.03."""
RUNS = 20
AMPERE, FIRST_WITH_FP8 = (8, 6), (8, 9)

Fuse = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(delta in bf16, overwritten; weight in fp8) -> the fused weight in fp8."""


def fuse_as_upstream(delta: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Fuse by the patched upstream, rounding stochastically."""
    fused: torch.Tensor = launch(delta, weight, 0).to(FP8)
    return fused


def fuse_to_nearest(delta: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Fuse in bf16 and round to nearest, as pull request 297 proposed."""
    return delta.add_(weight.to(torch.bfloat16)).to(FP8)


def as_card_of(capability: tuple[int, int] | None) -> AbstractContextManager[object]:
    """Let upstream see `capability`; None leaves the card's own."""
    if capability is None:
        return nullcontext()
    return patch.object(torch.cuda, "get_device_capability", lambda _device=None: capability)


def weight_and_delta(
    shape: tuple[int, int], share: float, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random fp8 weight, and a bf16 delta of rank RANK as `_prepare_deltas` makes it."""
    out, into = shape
    random = torch.Generator(device).manual_seed(out * 31 + into)
    weight = torch.randn(shape, generator=random, device=device).mul_(WEIGHT_STD).to(FP8)
    b = torch.randn(out, RANK, generator=random, device=device, dtype=torch.bfloat16)
    a = torch.randn(RANK, into, generator=random, device=device, dtype=torch.bfloat16)
    delta = b @ a
    return weight, delta.mul_(share * WEIGHT_STD / RANK**0.5)


def accuracy(fused: torch.Tensor, weight: torch.Tensor, delta: torch.Tensor) -> dict[str, float]:
    """Return how `fused` differs from weight + delta in float64, by row blocks to spare memory.

    `weight_error` is relative to their sum. `delta_kept` is the share of the delta that arrived, 1
    at best: what is fused beyond the weight, projected on the delta. `output_error` is that of
    x @ fused.T for normal x, relative to the change that the delta should make.
    """
    random = torch.Generator(fused.device).manual_seed(1)
    x = torch.randn(64, fused.shape[1], generator=random, device=fused.device, dtype=torch.float64)
    wrong = wanted = kept = meant = output_wrong = output_meant = 0.0
    for rows in range(0, fused.shape[0], 1024):
        block = slice(rows, rows + 1024)
        weight64, delta64 = weight[block].double(), delta[block].double()
        change = fused[block].double() - weight64
        wrong += float((change - delta64).square().sum())
        wanted += float((weight64 + delta64).square().sum())
        kept += float((change * delta64).sum())
        meant += float(delta64.square().sum())
        output_wrong += float((x @ (change - delta64).T).square().sum())
        output_meant += float((x @ delta64.T).square().sum())
    return {
        "weight_error": (wrong / wanted) ** 0.5,
        "delta_kept": kept / meant,
        "output_error": (output_wrong / output_meant) ** 0.5,
    }


def cost(fuse: Fuse, weight: torch.Tensor, delta: torch.Tensor) -> dict[str, float]:
    """Return the median time of `fuse` in ms, and the bytes it held above its arguments at most."""
    held, times = [], []
    for _ in range(RUNS + 2):
        given = delta.clone()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        # torch leaves Event untyped.
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        fuse(given, weight)
        end.record()
        torch.cuda.synchronize()
        held.append(torch.cuda.max_memory_allocated() - before)
        times.append(start.elapsed_time(end))
    return {"median_ms": statistics.median(times[2:]), "peak_bytes": max(held[2:])}


def compile_for(capability: tuple[int, int], pointer: str) -> str | None:
    """Compile the kernel for a card that need not be here; return Triton's reason if it cannot."""
    integers = dict.fromkeys(["seed", "n_elements", "EXPONENT_BIAS", "MANTISSA_BITS"], "i32")
    signature = {"x_ptr": pointer, "output_ptr": "*bf16", **integers, "BLOCK_SIZE": "constexpr"}
    source = ASTSource(fused_add_round_kernel, signature, constexprs={"BLOCK_SIZE": BLOCK_SIZE})
    try:
        triton.compile(source, target=GPUTarget("cuda", capability[0] * 10 + capability[1], 32))
    except triton.CompilationError as error:
        return str(error).strip().splitlines()[-1]
    return None


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors are equal as stored, NaN and the sign of zero included."""
    as_integers = {1: torch.uint8, 2: torch.int16}[left.element_size()]
    return left.dtype == right.dtype and torch.equal(
        left.view(as_integers), right.view(as_integers)
    )


def measure(
    shape: tuple[int, int], share: float, device: torch.device, reads_fp8: bool
) -> dict[str, Any]:
    """Return the figures of each way at `shape`, and whether the kernel's two ways agree."""
    weight, delta = weight_and_delta(shape, share, device)
    ways: dict[str, tuple[Fuse, tuple[int, int] | None]] = {
        "as a card of 8.6": (fuse_as_upstream, AMPERE),
        "to nearest (PR 297)": (fuse_to_nearest, None),
    }
    if reads_fp8:
        ways["as this card"] = (fuse_as_upstream, None)

    figures: dict[str, Any] = {
        "shape": list(shape),
        "delta_share": share,
        "weight_bytes": weight.numel(),
    }
    fused = {}
    for name, (fuse, capability) in ways.items():
        with as_card_of(capability):
            fused[name] = fuse(delta.clone(), weight)
            figures[name] = accuracy(fused[name], weight, delta) | cost(fuse, weight, delta)
    if reads_fp8:
        figures["same_bits"] = same_bits(fused["as this card"], fused["as a card of 8.6"])
        figures["same_bits_before_fp8"] = kernels_agree(weight, delta)
    return figures


def kernels_agree(weight: torch.Tensor, delta: torch.Tensor) -> bool:
    """Whether the kernel's bf16 output is the same either way, for both of its callers."""
    agree = []
    for seed in (0, 1234):
        launched, upcast = [], []
        for capability in (None, AMPERE):
            with as_card_of(capability):
                launched.append(launch(delta.clone(), weight, seed))
                upcast.append(upcast_and_round(weight, torch.bfloat16, True, seed))
        agree += [same_bits(*launched), same_bits(*upcast)]
    return all(agree)


def every_code_agrees(device: torch.device) -> bool:
    """Whether each finite fp8 value, alone and with a delta, comes out the same either way."""
    codes = torch.tensor([c for c in range(256) if c & 0x7F != 0x7F], dtype=torch.uint8)
    weight = codes.view(FP8).to(device).repeat(1024)
    random = torch.Generator(device).manual_seed(3)
    delta = torch.randn(weight.shape, generator=random, device=device).mul_(0.01)
    return kernels_agree(weight, delta.to(torch.bfloat16))


def failures(report: dict[str, Any], shapes: Sequence[dict[str, Any]]) -> list[str]:
    """Return which claims of the patch the figures contradict."""
    wrong = []
    if report["compile_for_8.6_float16"] is not None:
        wrong.append("the kernel does not compile for 8.6 with float16 weights")
    if report.get("every_code_agrees") is False:
        wrong.append("some fp8 value fuses differently on a card of 8.6")
    for one in shapes:
        if not one.get("same_bits", True) or not one.get("same_bits_before_fp8", True):
            wrong.append(f"{one['shape']}: a card of 8.6 fuses to other bits")
        if "as this card" in one:
            above = one["as a card of 8.6"]["peak_bytes"] - one["as this card"]["peak_bytes"]
            # A float16 copy, rounded up to the allocator's block of 2 MiB.
            if above > 2 * one["weight_bytes"] + 2**21:
                wrong.append(f"{one['shape']}: more than one float16 copy of the weight is held")
    return wrong


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    return report_parser("verify.campaigns.fuse", __doc__, "figures")


@torch.inference_mode()
def run(args: argparse.Namespace) -> int:
    """Measure and write the report: 0, or 1 where a claim does not hold."""
    require_place(args.out)
    if not torch.cuda.is_available():
        raise OutsideError(
            "torch sees no GPU, and the ways to fuse are compared on one",
            remedy="use a machine with one, and an environment whose torch has CUDA",
        )
    device = torch.device("cuda")
    reads_fp8 = torch.cuda.get_device_capability(device) >= FIRST_WITH_FP8
    report: dict[str, Any] = {
        **provenance(args.base, "ampere"),
        "compile_for_8.6_float16": compile_for(AMPERE, "*fp16"),
        "compile_for_8.6_fp8": compile_for(AMPERE, "*fp8e4nv"),
    }
    if reads_fp8:
        report["every_code_agrees"] = every_code_agrees(device)
    shapes = [
        measure(shape, share, device, reads_fp8) for shape in SHAPES for share in DELTA_SHARES
    ]
    report["shapes"] = shapes
    report["failures"] = failures(report, shapes)
    return hand_over(report, args.out)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
