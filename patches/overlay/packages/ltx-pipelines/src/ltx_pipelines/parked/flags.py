"""The command line of parked weights."""

import argparse
from collections.abc import Sequence

from ltx_core.parked import park_weights, take_out_parked_weights

_GIB = 1024**3
_RESIDENT_MODES = ("reduce-overhead", "max-autotune")  # of torch.compile: CUDA graphs, which need weights in one place


def add_parked_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--vram-budget`, and let what is parsed with it decide for the process whether weights are parked."""
    parser.add_argument(
        "--vram-budget",
        type=_budget,
        metavar="auto|GIB",
        help=(
            "Keep all weights in host memory and pass them through the card while they compute, so that this run takes "
            "no more than GIB of it: 6.5 on a card of 8 GB, 10.5 of 12, 14.8 of 16, 22.8 of 24. auto is what is free. "
            "The clip is the same, and a second one in the same process loads nothing. Example: --vram-budget 6.5"
        ),
    )
    parse_args = parser.parse_args

    def parse_and_park(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        parsed = parse_args(args, namespace)
        if parsed.vram_budget is None:
            take_out_parked_weights()
        else:
            _check(parser, parsed)
            park_weights(None if parsed.vram_budget == "auto" else int(parsed.vram_budget * _GIB))
        return parsed

    parser.parse_args = parse_and_park


def _budget(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        budget = float(text)
    except ValueError:
        budget = 0.0
    if not 0 < budget < float("inf"):
        raise argparse.ArgumentTypeError(f"must be auto or a number of GiB above 0, got {text}")
    return budget


def _check(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    offload = getattr(parsed, "offload_mode", None)
    if offload is not None and offload.value != "none":
        parser.error("--vram-budget does what --offload does, and more: leave --offload out")
    compilation = getattr(parsed, "compile", None)
    if compilation is not None and (compilation.capture or compilation.mode in _RESIDENT_MODES):
        parser.error("--vram-budget moves weights, which CUDA graphs can't follow: give --compile without a mode")
