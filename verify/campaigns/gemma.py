"""Quantized Gemma on a GPU: what it holds, what loading takes, whether it equals transformers' own.

Makes a random root of each Gemma that the patched upstream takes, loads it in each way, and judges:
- hidden states and image features are bit-equal to `from_pretrained` with the same
  BitsAndBytesConfig, streamed, out of a registry, and converted (on a small Gemma);
- VRAM while loading never exceeds the loaded model, the largest stored tensor and 96 MiB of pieces;
- anonymous host memory while loading never exceeds twice the largest stored tensor and 100 MiB;
- hidden states are finite, and `lm_head` shares the embedding's weight.

`python -m verify.campaigns.gemma --base NAME --tree PATCHED --work FOLDER --size full --json OUT`
ends with 1 if a check fails. The full size needs 34 GiB of disk.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from verify import command
from verify.synthetic.architecture import GemmaFamily
from verify.synthetic.staging import require_vacant
from verify.upstream.tree import core_of, source_folders
from verify.vram.host_memory import sample_of
from verify.vram.requests import require_place

MIB = 1024**2
# one piece of 8 Mi values in float32, bfloat16 and float16, and its quantized values
VRAM_SLACK_BYTES = 96 * MIB
HOST_SLACK_BYTES = 100 * MIB
SAMPLE_PERIOD_S = 0.002
PROMPT_TOKENS = 1024
"""What upstream pads a prompt to."""


@dataclass(frozen=True)
class Load:
    """One measured load; bytes above what was held before it."""

    way: str
    wall_s: float
    encode_s: float
    model_bytes: int
    peak_vram_bytes: int
    vram_bound_bytes: int
    peak_host_bytes: int
    host_bound_bytes: int
    finite: bool
    tied: bool

    @property
    def passed(self) -> bool:
        """Whether every bound holds."""
        within = (
            self.peak_vram_bytes <= self.vram_bound_bytes
            and self.peak_host_bytes <= self.host_bound_bytes
        )
        return within and self.finite and self.tied


class HostPeak(AbstractContextManager["HostPeak"]):
    """Samples this process's anonymous memory while it is entered."""

    def __enter__(self) -> Self:
        gc.collect()
        self._before = self._peak = _anonymous_bytes()
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._sampler.join()
        self._peak = max(self._peak, _anonymous_bytes())

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_PERIOD_S):
            self._peak = max(self._peak, _anonymous_bytes())

    @property
    def bytes(self) -> int:
        """The peak above where it began."""
        return self._peak - self._before


def _anonymous_bytes() -> int:
    here = sample_of(os.getpid())
    assert here is not None, "a process can read its own status"
    return here.anon_bytes


class Bench:
    """The loads of one size in one folder on the current GPU."""

    def __init__(self, checkpoint: Path) -> None:
        import torch

        self.device = torch.device("cuda")
        self.checkpoint = checkpoint  # what an encoder takes from one, for a Gemma of this size

    def build(self, root: Path, **keywords: Any) -> Any:
        """The text encoder as the patched pipelines make it."""
        from verify.campaigns.gemma_encoder import text_encoders

        return text_encoders(root, self.checkpoint, device=self.device, **keywords).text_encoder()

    def measured(self, way: str, root: Path, **keywords: Any) -> Load:
        """One load and one prompt, with everything freed before and after."""
        import torch
        from ltx_core.text_encoders.gemma.quantized.root import read_shards

        from verify.campaigns.gemma_reference import TOKENS, hidden_states

        self.free()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        largest = max(tensor.nbytes for tensor in read_shards(root).tensors)
        with HostPeak() as host:
            begin = time.perf_counter()
            encoder = self.build(root, **keywords)
            torch.cuda.synchronize()
            wall_s = time.perf_counter() - begin
        model_bytes = torch.cuda.memory_allocated() - held
        peak = torch.cuda.max_memory_allocated() - held
        begin = time.perf_counter()
        with torch.inference_mode():
            states = hidden_states(
                encoder.model, TOKENS.repeat(1, PROMPT_TOKENS // TOKENS.shape[1])
            )
            finite = all(bool(state.isfinite().all()) for state in states)
        torch.cuda.synchronize()
        encode_s = time.perf_counter() - begin
        embedding = encoder.model.get_input_embeddings().weight
        return Load(
            way=way,
            wall_s=wall_s,
            encode_s=encode_s,
            model_bytes=model_bytes,
            peak_vram_bytes=peak,
            vram_bound_bytes=model_bytes + largest + VRAM_SLACK_BYTES,
            peak_host_bytes=host.bytes,
            host_bound_bytes=2 * largest + HOST_SLACK_BYTES,
            finite=finite,
            tied=encoder.model.lm_head.weight.data_ptr() == embedding.data_ptr(),
        )

    def equal(self, method: Any, root: Path, work: Path) -> dict[str, bool]:
        """Which ways of loading give transformers' bits; the quantized root is made in `work`."""
        from ltx_core.loader import registry as registries
        from ltx_core.text_encoders.gemma.quantized.conversion import convert_root

        from verify.campaigns.gemma_reference import from_pretrained, settings_for

        flag = {f"gemma_{method.label}": True}
        theirs = from_pretrained(root, settings_for(method), "cuda:0")
        keeping_all = getattr(registries, "ModelRegistry", None) or registries.StateDictRegistry
        registry = keeping_all()
        written = convert_root(root, work / f"equal-{method.label}", method, self.device).output
        ways: dict[str, Callable[[], Any]] = {
            "streamed": lambda: self.build(root, **flag).model,
            "registry, first": lambda: self.build(root, registry=registry, **flag).model,
            "registry, second": lambda: self.build(root, registry=registry, **flag).model,
            "converted": lambda: self.build(written).model,
            "converted, by transformers": lambda: from_pretrained(written, None, "cuda:0"),
        }
        return {f"{method.label}: {way}": same(build(), theirs) for way, build in ways.items()}

    def free(self) -> None:
        """Let go of what earlier loads left cached."""
        import torch

        gc.collect()
        torch.cuda.empty_cache()


def same(ours: Any, theirs: Any) -> bool:
    """Bit-equal for a text and an image."""
    from verify.campaigns.gemma_reference import assert_equal

    try:
        assert_equal(ours, theirs)
    except AssertionError:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.campaigns.gemma",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", required=True, help="which base the checkout is of")
    parser.add_argument("--tree", type=Path, required=True, help="the patched upstream checkout")
    parser.add_argument("--work", type=Path, required=True, help="a folder to make and remove")
    parser.add_argument(
        "--size", choices=["tiny", "full"], default="tiny", help="full is a Gemma of 12B"
    )
    parser.add_argument("--json", type=Path, required=True, help="the file for the result")
    parser.add_argument(
        "--cap-gib", type=float, help="what this process may take of the GPU: 22.8 is an RTX 3090"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run every check and write the report: 0, or 1 where a check fails."""
    sys.path[:0] = map(str, source_folders(args.tree))
    require_vacant(args.work)
    require_place(args.json)
    return 0 if _prove_all(args) else 1


def _prove_all(args: argparse.Namespace) -> bool:
    """Each family of Gemma that the checkout takes; whether every check holds."""
    import torch

    from verify.synthetic.abilities import gemmas
    from verify.upstream.provenance import provenance

    about = provenance(args.base, "gemma", cap_gib=args.cap_gib)
    if args.cap_gib is not None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, args.cap_gib * 1024**3 / total))
    reports = {}
    for family in gemmas(core_of(args.tree)):
        args.work.mkdir(parents=True, exist_ok=True)
        reports[f"Gemma {family.value}"] = _prove(family, args.work, args.size)
        shutil.rmtree(args.work)
    passed = all(report["passed"] for report in reports.values())
    result = json.dumps({**about, "passed": passed, **reports}, indent=2)
    print(result)
    args.json.write_text(f"{result}\n", encoding="utf-8")
    return passed


def _prove(family: GemmaFamily, work: Path, size: str) -> dict[str, Any]:
    """Every check of one family of Gemma; full-size roots are made where `size` says so."""
    from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
    from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4

    from verify.campaigns.gemma_encoder import write_checkpoint
    from verify.synthetic.architecture import SIZES
    from verify.synthetic.gemma_root import GemmaStorage, write_gemma_root

    tiny = SIZES["tiny"].gemma[family]
    tiny_root, root = work / "tiny", work / "root"
    write_gemma_root(tiny_root, tiny, GemmaStorage(shards=2), seed=0, device="cuda")
    bench = Bench(write_checkpoint(work / "tiny.safetensors", tiny_root))
    # These loads also warm up: what CUDA brings in at first use is no part of a load.
    methods = (NF4, INT8)
    equal = {
        way: ok for method in methods for way, ok in bench.equal(method, tiny_root, work).items()
    }

    chosen = SIZES[size].gemma[family]
    write_gemma_root(root, chosen, GemmaStorage(shards=6), seed=0, device="cuda")
    bench = Bench(write_checkpoint(work / "checkpoint.safetensors", root))
    loads = [
        bench.measured(f"streaming {method.label}", root, **{f"gemma_{method.label}": True})
        for method in methods
    ]
    bench.free()
    with HostPeak() as host:
        begin = time.perf_counter()
        written = convert_root(root, work / "4bit", NF4, bench.device)
        convert_s = time.perf_counter() - begin
    loads.append(bench.measured("prequantized 4bit", written.output))
    return {
        "passed": all(equal.values()) and all(load.passed for load in loads),
        "size": size,
        "equal_to_transformers": equal,
        "loads": [{**asdict(load), "passed": load.passed} for load in loads],
        "conversion": {
            "wall_s": convert_s,
            "peak_host_bytes": host.bytes,
            "bytes_before": written.bytes_before,
            "bytes_after": written.bytes_after,
        },
    }


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
