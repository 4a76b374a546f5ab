"""The command line of integer products."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from ltx_core.int8.launching import why_not
from ltx_core.int8.policy import int8_policy
from ltx_core.quantization import QuantizationPolicy
from ltx_core.weight_files import WeightFileError
from ltx_pipelines.compile_cache import keep_compiled

INT8 = "int8"
"""What `--quantization` is given. Its policy is made once all is parsed, since it reads the checkpoint."""


def add_int8_flags(parser: argparse.ArgumentParser) -> None:
    """Let `parser`, which has `--quantization`, give the policy of integer products, and add what goes with it.

    What its script compiles is kept for the next process.
    """
    parser.add_argument(
        "--int8-unrotated",
        action="store_true",
        help=(
            "With --quantization int8: leave out the rotation that keeps outliers of activations from costing the "
            "other channels their precision. Slightly faster; the clip differs more from that of bf16."
        ),
    )
    parser.add_argument(
        "--int8-keep-ends",
        action="store_true",
        help="With --quantization int8: keep the first block and the last in bf16.",
    )
    parse_args = parser.parse_args

    def parse_and_resolve(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        parsed = parse_args(args, namespace)
        if getattr(parsed, "compile", None) is not None:
            keep_compiled(_device())
        if parsed.quantization == INT8:
            parsed.quantization = _policy(parser, parsed)
        elif parsed.int8_unrotated or parsed.int8_keep_ends:
            parser.error("--int8-unrotated and --int8-keep-ends say how: give --quantization int8 too")
        return parsed

    parser.parse_args = parse_and_resolve


def _policy(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> QuantizationPolicy:
    if reason := why_not(_device()):
        parser.error(reason)
    offload = getattr(parsed, "offload_mode", None)
    if offload is not None and offload.value != "none":
        parser.error("--quantization int8 can't go with --offload: give --vram-budget, which does more")
    try:
        return int8_policy(_transformer(parsed), rotated=not parsed.int8_unrotated, keeps_ends=parsed.int8_keep_ends)
    except WeightFileError as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _transformer(parsed: argparse.Namespace) -> Path:
    """Return the file that the transformer is in, as either base parses it."""
    if hasattr(parsed, "model_paths"):
        return Path(parsed.model_paths.transformer())
    return Path(getattr(parsed, "distilled_checkpoint_path", None) or parsed.checkpoint_path)
