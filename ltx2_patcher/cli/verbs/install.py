"""Make an environment for the patched scripts."""

from __future__ import annotations

import sys

from ltx2_patcher.cli.options import add_base_of_python, add_json, base_of_python, store
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    add_base_of_python(parser, "complete this environment instead of making one")
    parser.add_argument("--dry-run", action="store_true", help="say what it would install")
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.launch.install import install_environment, join_environment

    def progress(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    base = base_of_python(args)
    if args.python:
        done = join_environment(base, args.python, progress, dry_run=args.dry_run)
    else:
        done = install_environment(store(), base, progress, dry_run=args.dry_run)
    if not done.added:
        lines = [f"nothing to do: {done.python} has what base {done.base} needs"]
    elif done.dry_run:
        lines = [f"would install {', '.join(done.added)}"]
    else:
        lines = [
            f"installed {', '.join(done.added)}",
            f"{done.python} has torch for {'CPU' if done.torch == 'cpu' else f'CUDA {done.torch}'}",
            "next: ltx2-patcher doctor",
        ]
    show(args, done, lines)
    return 0
