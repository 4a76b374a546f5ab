"""Look over machine, environment and weights."""

from __future__ import annotations

from ltx2_patcher.cli.options import (
    add_base_of_python,
    add_gpu,
    add_json,
    base_of_python,
    path,
    store,
)
from ltx2_patcher.cli.report import show

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def options(parser: ArgumentParser) -> None:
    add_base_of_python(parser, "look at this environment (default: the one that install made)")
    add_gpu(parser)
    parser.add_argument(
        "--checkpoint", type=path, metavar="FILE", help="an LTX-2 checkpoint, or its transformer"
    )
    parser.add_argument(
        "--gemma-root", type=path, metavar="ROOT", help="a Gemma text encoder, folder or file"
    )
    parser.add_argument(
        "--bench",
        action="store_true",
        help="measure int8 products on the card instead, about a minute, and keep the fastest "
        "tiles for its scripts",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    from ltx2_patcher.jobs.launch.doctor import Subject, examine
    from ltx2_patcher.values.errors import OutsideError
    from ltx2_patcher.values.finding import Level

    data = store()
    if args.bench:
        return _bench(args)
    subject = Subject(
        base=base_of_python(args),
        python=args.python,
        gpu=args.gpu,
        checkpoint=args.checkpoint,
        gemma_root=args.gemma_root,
    )
    findings = tuple(examine(data, subject))
    if args.json:
        show(args, findings, ())
    else:
        from ltx2_patcher.cli.findings_table import show_findings

        show_findings(findings)
    failed = any(finding.level is Level.FAILURE for finding in findings)
    return OutsideError.exit_code if failed else 0


def _bench(args: Namespace) -> int:
    import sys

    from ltx2_patcher.cli.bench_table import bench_lines
    from ltx2_patcher.jobs.launch.bench import measure

    def progress(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    done = measure(store(), base_of_python(args), progress, python=args.python, gpu=args.gpu)
    show(args, done, bench_lines(done))
    return 0
