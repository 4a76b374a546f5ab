"""Parse, call one job, turn an error into a sentence and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib import import_module

from ltx2_patcher.values.errors import INTERRUPTED, NEWS, OutsideError, PatcherError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

DESCRIPTION = """\
Patches a pinned upstream LTX-2 so that its own scripts run on one card of 8 to 24 GB
(--gemma-4bit, --gemma-8bit), and keeps that patch set.
"""
VERBS = {
    "apply": "obtain a base and apply the series",
    "unapply": "put everything back as it was before apply",
    "status": "tell how a tree or an environment stands",
    "install": "make an environment for the patched scripts",
    "doctor": "look over machine, environment and weights",
    "inspect": "tell what a weight file or Gemma root is",
    "run": "run a patched script; without a name, list them",
    "serve": "serve clips to programs and people, by HTTP and on a page",
    "cache": "list the weights that scripts keep on disk or share, and clear them",
    "log": "show the series: each patch, why it is there, until when",
    "new": "make a patch of the uncommitted edits in the patched tree",
    "edit": "fold the uncommitted edits into a patch, or change what it says of itself",
    "move": "give a patch another place in the series",
    "drop": "take a patch out of the series",
    "export": "write the commits of a patched tree back as the series, or as one mailbox",
    "lint": "check every series: patches, lock, overlay, symbols",
    "diff": "compare our change on two bases, patch by patch",
    "rebase": "carry a series to another upstream revision; alone, tell where that stands",
    "matrix": "try each series on each revision of upstream: what is supported, what breaks",
    "outdated": "report revisions of upstream newer than the newest base, each once; "
    f"exit code {NEWS} where there is one",
}
"""In the order that people meet them; each is the module of its name in verbs/."""


def run() -> NoReturn:
    """Entry point of the console script."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character gets it spelled, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one verb; the exit code says which class of error ended it (values/errors.py)."""
    args = argparse.Namespace()
    try:
        own, passed_on = _split(arguments)
        parser = _parser(own)
        try:
            _, unknown = parser.parse_known_args(own, args)
            if unknown:  # which argparse itself would tell with the usage of the whole tool
                args.refuse(f"unrecognized arguments: {' '.join(unknown)}")
        finally:
            sys.stdout.flush()  # a help, before the parser ends the process
        if passed_on:
            if not hasattr(args, "passed_on"):
                args.refuse(f"only `run` passes arguments on: {' '.join(passed_on)}")
            args.passed_on = passed_on
        code: int = args.verb(args)
        sys.stdout.flush()
    except PatcherError as error:
        return _report(args, error)
    except KeyboardInterrupt:
        print("ltx2-patcher: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if isinstance(error.filename, str | bytes):  # of a place that a step only looked at
            return _report(args, _unreadable(error))
        # Others are translated where they happen: this is our own output. Nothing more can be said
        # on it, also at the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        print(f"ltx2-patcher: the output can't be written: {error.strerror}", file=sys.stderr)
        return OutsideError.exit_code
    return code


def _report(args: argparse.Namespace, error: PatcherError) -> int:
    if getattr(args, "json", False):
        import json

        failed = {"error": str(error), "remedy": error.remedy, "exit_code": error.exit_code}
        print(json.dumps(failed))
    print(f"ltx2-patcher: {error}\n  to do: {error.remedy}", file=sys.stderr)
    return error.exit_code


def _unreadable(error: OSError) -> PatcherError:
    from pathlib import Path

    from ltx2_patcher.boundaries.refusals import refusal

    place = Path(os.fsdecode(error.filename))
    return refusal(error.errno, place, reading=True) or OutsideError(
        f"{place} can't be read: {error.strerror}", remedy="check that path, then try again"
    )


def _open_closed_streams() -> None:
    """Give each standard stream that was closed a place, so that no file of ours takes its number.

    Reading gives nothing, writing results fails as on a full disk, and complaints are lost.
    """
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, mode), number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ours, and what follows `--`, which `run` hands to the script as it is."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:at]), list(arguments[at + 1 :])


class _Parser(argparse.ArgumentParser):
    """argparse's, told how wide its help may be.

    Otherwise it asks shutil at each argument, whose import takes as long as all of our own.
    """

    def __init__(self, **choice: Any) -> None:
        super().__init__(formatter_class=_formatter, **choice)


class _Version(argparse.Action):
    """Print the version of the installed package; it is asked for only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('ltx2-patcher')}")
        parser.exit()


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    if (wish := os.environ.get("COLUMNS", "")).isdecimal() and int(wish):
        return int(wish)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):  # no terminal, or closed
        return 80


def _parser(asked: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line; of the verbs, only what it names is imported."""
    parser: argparse.ArgumentParser = _Parser(
        prog="ltx2-patcher", description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("--version", action=_Version)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary)
        if name in asked:
            module = import_module(f"ltx2_patcher.cli.verbs.{name}")
            module.options(verb)
            verb.set_defaults(verb=module.run, refuse=verb.error)
    return parser
