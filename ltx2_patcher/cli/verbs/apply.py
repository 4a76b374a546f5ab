"""Obtain a base and apply the series."""

from __future__ import annotations

from ltx2_patcher.cli.options import add_dry_run, add_place, asked_base, base_or_default, store
from ltx2_patcher.cli.report import show
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from ltx2_patcher.jobs.series.apply import Applied

_NEXT = "make install   (once), then   .venv/bin/ltx2-patcher run distilled -- --help"


def options(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "--source",
        choices=("auto", "git", "pypi"),
        help="where a fresh checkout comes from (auto, the default: git, else the wheels)",
    )
    parser.add_argument("--upto", metavar="GROUP", help="stop after this group of the series")
    parser.add_argument(
        "--onto-branch",
        metavar="NAME",
        help="commit the patches on this branch (default: ltx2-patcher/BASE)",
    )
    add_dry_run(parser)


def run(args: Namespace) -> int:
    if args.source and (args.tree or args.site_packages):
        raise UsageError(
            "--source goes with a fresh checkout", remedy="leave it out, or leave --tree out"
        )
    if args.onto_branch is not None and args.site_packages:
        raise UsageError("--onto-branch goes with a tree", remedy="leave it out")
    if args.tree:
        applied, next_step = _apply_to_tree(args), _run_in(args.tree)
    elif args.site_packages:
        applied = _apply_to_environment(args)
        next_step = f"{args.site_packages} -m ltx_pipelines.distilled"
    else:
        applied, next_step = _apply_to_checkout(args), _NEXT
    show(args, applied, _lines(applied, next_step))
    return 0


def _apply_to_tree(args: Namespace) -> Applied:
    from ltx2_patcher.jobs.series.apply import apply_tree

    return apply_tree(
        store(),
        asked_base(args),
        args.tree,
        upto=args.upto,
        onto_branch=args.onto_branch,
        dry_run=args.dry_run,
    )


def _apply_to_environment(args: Namespace) -> Applied:
    from ltx2_patcher.jobs.series.site_packages import apply_installed

    return apply_installed(
        store(), asked_base(args), args.site_packages, upto=args.upto, dry_run=args.dry_run
    )


def _apply_to_checkout(args: Namespace) -> Applied:
    from ltx2_patcher.cli.progress import progress_bars
    from ltx2_patcher.jobs.series.apply import apply_tree
    from ltx2_patcher.jobs.series.obtain import obtain
    from ltx2_patcher.rules.series.plan import group_named

    data = store()
    base = base_or_default(data, args)
    group_named(data.lock(base.name), args.upto)  # a wrong name is told before the clone
    with progress_bars(quiet=args.json) as progress:
        obtained = obtain(data, base, args.source or "auto", progress)
    if not args.json and obtained.fallback:
        print(f"taking the published wheels: {obtained.fallback}")
    if not args.json and obtained.fresh:
        print(f"LTX-2 {base.name} from {obtained.source}: {obtained.tree}")
    return apply_tree(
        data,
        base,
        obtained.tree,
        upto=args.upto,
        onto_branch=args.onto_branch,
        dry_run=args.dry_run,
    )


def _run_in(tree: Path) -> str:
    from shlex import quote

    paths = ":".join(str(tree / f"packages/{name}/src") for name in ("ltx-core", "ltx-pipelines"))
    return f"PYTHONPATH={quote(paths)} python -m ltx_pipelines.distilled --help"


def _lines(applied: Applied, next_step: str) -> Iterator[str]:
    if applied.finished:
        yield f"a run was cut off here and left {len(applied.finished)} files; finished"
    if applied.action == "finished":
        return
    merged = f" on {applied.revision[:12]}, which is no base," if applied.revision else ""
    if applied.action == "nothing to do":
        held = f"the series of {applied.base}{merged} up to {applied.group}"
        yield f"nothing to do: {applied.place} holds {held}"
        return
    width = max((len(patch.name) for patch in applied.patches), default=0)
    for patch in applied.patches:
        how = f"  {patch.how.value}" if applied.revision else ""
        counts = f"{patch.files:>3} files {patch.hunks:>3} hunks"
        yield f"  {patch.group:<12} {patch.name:<{width}} {counts}{how}"
    if applied.overlay:
        yield f"  {'':<12} {'overlay':<{width}} {len(applied.overlay):>3} files"
    branch = f", branch {applied.branch}" if applied.branch else ""
    if applied.revision:
        hows = [patch.how.value for patch in applied.patches]
        counts = ", ".join(f"{hows.count(how)} {how}" for how in dict.fromkeys(hows))
        yield (
            f"{applied.place} is at {applied.revision[:12]}, which is no base; the series of "
            f"{applied.base} supports it up to {applied.group} ({counts}){branch}; every file "
            "parses and holds its symbols"
        )
    else:
        yield (
            f"{len(applied.patches)} patches up to {applied.group} on LTX-2 {applied.base} in "
            f"{applied.place}{branch}; every file is as the lock says"
        )
    yield f"next: {next_step}"
