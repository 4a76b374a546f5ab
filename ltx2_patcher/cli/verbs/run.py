"""Run a patched script; without a name, list them."""

from __future__ import annotations

import os
import sys

from ltx2_patcher.cli.options import add_base, add_gpu, add_json, add_python, path, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ltx2_patcher.jobs.launch.script import Script
    from ltx2_patcher.values.finding import Finding


def options(parser: ArgumentParser) -> None:
    parser.usage = (
        "%(prog)s [-h] [--base BASE] [--python PYTHON] [--gpu N] [--json] "
        "[--dry-run] [NAME [-- ARGS...]]\n       %(prog)s NAME --batch FILE [--resume] ... "
        "[-- ARGS...]"
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="which script, for example distilled"
    )
    add_base(parser)
    add_python(parser, "run in this environment (default: the one that install made)")
    add_gpu(parser)
    parser.add_argument("--dry-run", action="store_true", help="check, and say what would be run")
    parser.add_argument(
        "--batch",
        type=path,
        metavar="FILE",
        help="a clip for each line of FILE, a JSON object of options over ARGS, in one process; "
        "- is standard input",
    )
    parser.add_argument(
        "--resume", action="store_true", help="of a batch, leave out what is made already"
    )
    add_json(parser)
    parser.set_defaults(passed_on=())


def run(args: Namespace) -> int:
    from ltx2_patcher.boundaries.proc import become
    from ltx2_patcher.jobs.launch.pipelines import pipelines_in
    from ltx2_patcher.jobs.launch.script import find_script
    from ltx2_patcher.jobs.models.gate import admit
    from ltx2_patcher.jobs.models.places import make_output_folder
    from ltx2_patcher.jobs.series.obtain import checkout_path
    from ltx2_patcher.rules.models.request import parse_argv

    if args.resume and args.batch is None:
        args.refuse("--resume goes with --batch")
    if args.batch is not None and args.name is None:
        args.refuse("--batch needs the NAME of a pipeline")
    data = store()
    base = data.base(args.base)
    if args.name is not None:
        script = find_script(data, base, args.name, python=args.python, gpu=args.gpu)
        warnings: tuple[Finding, ...] = ()
        if {"--help", "-h"} & set(args.passed_on):
            launch = script.started_with(args.passed_on, os.environ)
        elif args.batch is not None:
            from ltx2_patcher.cli.batching import run_batch

            _say_card(script)
            return run_batch(args, script, base.name)
        else:
            admitted = admit(parse_argv(script.target.pipeline, args.passed_on), script.target)
            launch, warnings = script.launch(admitted.request, os.environ), admitted.warnings
            for warning in warnings:
                print(f"warning: {warning.fact}\n  to do: {warning.remedy}", file=sys.stderr)
            if not args.dry_run:
                make_output_folder(admitted.request)
        _say_card(script)
        if not args.dry_run:
            become(launch.argv, launch.variables)
        from shlex import join

        show(args, {"argv": launch.argv, "warnings": warnings}, [join(launch.argv)])
        return 0
    found = pipelines_in(checkout_path(data, base))
    width = max(len(pipeline.name) for pipeline in found)
    listed = [{"name": p.name, "summary": p.summary, "divisor": p.divisor} for p in found]
    show(args, listed, (f"{p.name:{width}}  {p.summary}" for p in found))
    return 0


def _say_card(script: Script) -> None:
    """Of several, the one that CUDA takes."""
    if len(script.target.gpus) > 1 and not script.target.pipeline.several_gpus:
        card = script.target.gpus[0]
        print(f"on card {card.index}, {card.name}; --gpu N takes another", file=sys.stderr)
