"""The command line of a quantized Gemma: a flag for each method, and errors that end a script with one sentence."""

import argparse
import sys
from types import TracebackType

from ltx_core.text_encoders.gemma.quantized import GemmaQuantizationError, refuse_gemma_flags, require_unquantized
from ltx_core.text_encoders.gemma.quantized.methods import METHODS


def add_gemma_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--gemma-4bit` and `--gemma-8bit` to a script's parser, and report its errors about them in one sentence.

    Only what would end the process anyway is changed: a GemmaQuantizationError that nobody catches is reported as
    argparse reports a wrong flag, and ends with the exit code of its class.
    """
    group = parser.add_mutually_exclusive_group()
    for flag in (method.flag for method in METHODS if method.flag is not None):
        group.add_argument(flag.name, action="store_true", help=flag.help)
    report_in_one_sentence(parser)


def refuse_quantized_gemma(args: argparse.Namespace, reason: str) -> None:
    """A script that can run no quantized Gemma, for `reason`, was given neither a flag nor a quantized root.

    `args` is what upstream 1.2.0 parses. Raises: GemmaFlagsError, GemmaRootError.
    """
    refuse_gemma_flags(args.gemma_4bit, args.gemma_8bit, reason)
    for root in (args.model_paths.text_encoder(), args.prompt_enhancer_gemma_root):
        if root is not None:
            require_unquantized(root, reason)


def report_in_one_sentence(parser: argparse.ArgumentParser) -> None:
    """An uncaught GemmaQuantizationError ends this process as the parser's own errors do, without a traceback."""
    previous = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, GemmaQuantizationError):
            parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
        previous(kind, error, trace)

    sys.excepthook = report
