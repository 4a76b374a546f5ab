"""The one handler of every command line of verify: what is typed comes in, an exit code goes out.

A command module has a `parser()`, a `run(args)` that returns 0 or a verdict's 1, and
`main = partial(command.main, parser, run)`.
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ltx2_patcher.values.errors import PatcherError, UsageError


def main(
    parser: Callable[[], ArgumentParser],
    run: Callable[[Namespace], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv` (the process's own where None) and run it: the exit code.

    What stands behind the first `--` is for a script of upstream's: it arrives as `args.passed_on`
    in a command whose parser has that default, and is refused by any other. A PatcherError becomes
    its sentence, its remedy and its class's code, a signal 128 and its number. SIGTERM and Ctrl-C
    both unwind, so that what was begun is removed and no child is left.
    """
    commands = parser()
    name = commands.prog.removeprefix("python -m ")
    own, passed_on = _split(sys.argv[1:] if argv is None else argv)
    args = commands.parse_args(own)
    try:
        with _unwinding_on_sigterm():
            _pass_on(args, passed_on)
            code = run(args)
            sys.stdout.flush()
    except PatcherError as error:
        print(f"{name}: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads on; nothing more can be said, also at the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def add_only(parser: ArgumentParser, rows: Sequence[str]) -> None:
    """`--only ROW...`: names of rows of a campaign, as `args.only`; empty where none is given."""
    parser.add_argument(
        "--only",
        nargs="+",
        choices=rows,
        default=(),
        metavar="ROW",
        help=f"these alone: {'; '.join(rows)}",
    )


def _split(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Ours, and what stands behind the first `--`."""
    at = argv.index("--") if "--" in argv else len(argv)
    return list(argv[:at]), tuple(argv[at + 1 :])


def _pass_on(args: Namespace, words: tuple[str, ...]) -> None:
    if hasattr(args, "passed_on"):
        args.passed_on = words
    elif words:
        raise UsageError(
            f"{' '.join(words)} stands behind --, and this command runs no script",
            remedy="leave it out",
        )


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Within it, SIGTERM ends the program as an exception does."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
