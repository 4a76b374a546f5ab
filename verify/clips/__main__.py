"""The command line: `python -m verify.clips record|check|report`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ltx2_patcher.values.errors import UsageError
from verify import command
from verify.clips.cases import CASES, FULL, GEMMAS, TINY, ReferenceCase
from verify.clips.models import examine
from verify.clips.options import add_weights, weights_of
from verify.upstream.command_line import Gemma

OUT_OF_BOUNDS = 1
"""The exit code where everything ran and the verdict is no: none of the error classes' codes."""


def run(args: argparse.Namespace) -> int:
    """0 where it went well, 1 where clips are out of bounds."""
    code: int = args.verb(args)
    return code


def _record(args: argparse.Namespace) -> int:
    from verify.clips.record import Recipe, record
    from verify.clips.tree import has_series
    from verify.upstream.process import Pipelines

    models = weights_of(args)
    if models is None:
        raise UsageError("no weights were named", remedy="give --files, or upstream's own flags")
    tree = args.tree.absolute()
    shape = TINY if examine(models, tree, args.passed_on) == "tiny" else FULL
    recipe = Recipe(models, Gemma(args.gemma), shape, _cases(args.case), args.passed_on)
    with Pipelines(tree, helped=not has_series(tree)) as pipelines:
        recording = record(recipe, pipelines, args.out.absolute(), print)
    manifest = recording.manifest
    for case, flag in manifest.left_out.items():
        print(f"{case:<16} left out: no {flag}")
    print(f"{args.out}: {len(manifest.cases)} clips, {shape}, {manifest.label}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from verify.clips.compare import compare
    from verify.clips.judge import judge, read_bounds, spelled
    from verify.clips.manifest import open_recording

    comparison = compare(open_recording(args.reference), open_recording(args.other))
    verdict = judge(comparison, read_bounds())
    for check in verdict.checks:
        mark = "ok " if check.passed else "OUT"
        print(
            f"  {mark} {check.case:<16} {check.measure:<20} {spelled(check.value):>8}"
            f"  at least {check.bound:<8g} ({check.where})"
        )
    for case, first in verdict.differences.items():
        print(f"  {case:<16} differs from {first} on")
    print(verdict.text)
    return 0 if verdict.passed else OUT_OF_BOUNDS


def _report(args: argparse.Namespace) -> int:
    from verify.clips.manifest import open_recording
    from verify.clips.report import write_report
    from verify.clips.vram_report import read_vram_report

    reference, *others = [open_recording(folder) for folder in args.recordings]
    if not others:
        raise UsageError(
            "a report compares at least two recordings", remedy="name the reference, then others"
        )
    verdicts = write_report(
        args.html, reference, others, [read_vram_report(path) for path in args.vram]
    )
    for verdict in verdicts:
        print(verdict.text)
    print(f"{args.html}: {args.html.stat().st_size / 1e6:.1f} MB, needs no network")
    return 0


def _cases(names: Sequence[str]) -> tuple[ReferenceCase, ...]:
    return tuple(case for case in CASES if case.name in (names or [case.name]))


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m verify.clips",
        description="Record reference clips, compare recordings, and show them.",
    )
    verbs = parser.add_subparsers(required=True, metavar="record|check|report")
    record = verbs.add_parser(
        "record",
        help="run the scripts of a tree and keep what they compute",
        epilog="What stands behind -- goes to every script: -- --quantization fp8-cast",
    )
    record.add_argument("--tree", type=Path, required=True, help="upstream, patched or as it is")
    record.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    record.add_argument("--gemma", choices=[gemma.value for gemma in GEMMAS], default="none")
    record.add_argument(
        "--case",
        action="append",
        default=[],
        choices=[case.name for case in CASES],
        help="only this clip; can be given again (default: every one that the weights are for)",
    )
    add_weights(record)
    record.set_defaults(verb=_record, passed_on=())

    check = verbs.add_parser("check", help="hold a recording against a reference")
    check.add_argument("reference", type=Path, help="the more precise one")
    check.add_argument("other", type=Path)
    check.set_defaults(verb=_check)

    report = verbs.add_parser("report", help="one page with clips, differences and verdicts")
    report.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING")
    report.add_argument("--html", type=Path, required=True, metavar="FILE", help="what to write")
    report.add_argument(
        "--vram",
        type=Path,
        nargs="+",
        default=[],
        metavar="JSON",
        help="reports of verify.vram, each with its timeline (.png) beside it",
    )
    report.set_defaults(verb=_report)
    return parser


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
