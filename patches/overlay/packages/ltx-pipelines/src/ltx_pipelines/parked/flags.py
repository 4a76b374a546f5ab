"""The command line of parked weights."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch

from ltx_core.parked import is_at_work, park_weights, take_out_parked_weights

_GIB = 1024**3
_RESIDENT_MODES = ("reduce-overhead", "max-autotune")  # of torch.compile: CUDA graphs, which need weights in one place


def add_parked_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--vram-budget` and what goes with it, and let what is parsed decide whether the process parks weights."""
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
    parser.add_argument(
        "--host-budget",
        type=_budget,
        default="auto",
        metavar="auto|GIB",
        help=(
            "How much of host memory --vram-budget may keep weights in; what goes beyond is read from its file each "
            "time. auto is what is free, less 4 GiB. Example: --host-budget 24"
        ),
    )
    parser.add_argument(
        "--weights-folder",
        type=_folder,
        metavar="FOLDER",
        help=(
            "Where --vram-budget keeps weights: processes that name the same folder share one copy. In memory it goes "
            "with the last of them, on a disk it stays. Example: --weights-folder /dev/shm/ltx2"
        ),
    )
    _report_in_one_sentence(parser)
    parse_args = parser.parse_args

    def parse_and_park(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        parsed = parse_args(args, namespace)
        if parsed.vram_budget is None:
            if parsed.weights_folder is not None:
                parser.error("--weights-folder is where --vram-budget keeps weights: give that too")
            take_out_parked_weights()
        else:
            _check(parser, parsed)
            park_weights(_bytes_of(parsed.vram_budget), _bytes_of(parsed.host_budget), parsed.weights_folder)
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


def _folder(text: str) -> Path:
    folder = Path(text).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{folder} can't be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{folder} can't be written to")
    return folder.resolve()


def _bytes_of(budget: float | str) -> int | None:
    return None if budget == "auto" else int(budget * _GIB)


def _report_in_one_sentence(parser: argparse.ArgumentParser) -> None:
    """Running out of the card's memory within a budget ends a script in a sentence; else nothing changes."""
    previous = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, torch.OutOfMemoryError) and is_at_work():
            parser.exit(
                1,
                f"{parser.prog}: error: this clip takes more of the card than --vram-budget gives it: give more, or "
                f"ask for fewer frames or a smaller size ({error})\n",
            )
        previous(kind, error, trace)

    sys.excepthook = report


def _check(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    offload = getattr(parsed, "offload_mode", None)
    if offload is not None and offload.value != "none":
        parser.error("--vram-budget does what --offload does, and more: leave --offload out")
    compilation = getattr(parsed, "compile", None)
    if compilation is not None and (compilation.capture or compilation.mode in _RESIDENT_MODES):
        parser.error("--vram-budget moves weights, which CUDA graphs can't follow: give --compile without a mode")
