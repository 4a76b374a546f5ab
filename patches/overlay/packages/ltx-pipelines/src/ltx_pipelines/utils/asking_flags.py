"""The flags of a quantized Gemma in scripts whose pipelines hand on the Gemma root and nothing else."""

import argparse
from collections.abc import Sequence

from ltx_pipelines.utils.gemma_flags import add_gemma_flags
from ltx_pipelines.utils.requested_gemma import GemmaRoot


def add_gemma_root_flags(parser: argparse.ArgumentParser) -> None:
    """Add what `add_gemma_flags` adds; the `gemma_root` that `parser` gives is then a GemmaRoot with what was asked."""
    add_gemma_flags(parser)
    parse = parser.parse_known_args

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, others = parse(args, namespace)
        parsed.gemma_root = GemmaRoot(parsed.gemma_root, gemma_4bit=parsed.gemma_4bit, gemma_8bit=parsed.gemma_8bit)
        return parsed, others

    parser.parse_known_args = parse_known_args  # which parse_args calls; upstream's parsers come from several classes
