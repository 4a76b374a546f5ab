"""Obtain a base and apply the series."""

from __future__ import annotations

from ltx2_patcher.cli.options import DEFAULT_BASE, add_dry_run, add_place, store
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
    from ltx2_patcher.jobs.series.apply import apply_tree

    data = store()
    if args.source and (args.tree or args.site_packages):
        raise UsageError(
            "--source goes with a fresh checkout", remedy="leave it out, or leave --tree out"
        )
    choice = {"upto": args.upto, "dry_run": args.dry_run}
    if args.tree:
        asked = data.base(args.base) if args.base else None  # none: the one that supports the tree
        done = apply_tree(data, asked, args.tree, onto_branch=args.onto_branch, **choice)
        show(args, done, _applied(done, next_step=_run_in(args.tree)))
        return 0
    base = data.base(args.base or DEFAULT_BASE)
    if args.site_packages:
        if args.onto_branch:
            raise UsageError("--onto-branch goes with a tree", remedy="leave it out")
        from ltx2_patcher.jobs.series.site_packages import apply_installed

        done = apply_installed(data, base, args.site_packages, **choice)
        show(
            args, done, _applied(done, next_step=f"{args.site_packages} -m ltx_pipelines.distilled")
        )
        return 0
    from ltx2_patcher.cli.progress import progress_bars
    from ltx2_patcher.jobs.series.obtain import obtain
    from ltx2_patcher.rules.series.plan import group_named

    group_named(data.lock(base.name), args.upto)  # a wrong name is told before the clone
    with progress_bars(quiet=args.json) as progress:
        obtained = obtain(data, base, args.source or "auto", progress)
    if not args.json and obtained.fallback:
        print(f"taking the published wheels: {obtained.fallback}")
    if not args.json and obtained.fresh:
        print(f"LTX-2 {base.name} from {obtained.source}: {obtained.tree}")
    done = apply_tree(data, base, obtained.tree, onto_branch=args.onto_branch, **choice)
    show(args, done, _applied(done, next_step=_NEXT))
    return 0


def _run_in(tree: Path) -> str:
    from shlex import quote

    paths = ":".join(str(tree / f"packages/{name}/src") for name in ("ltx-core", "ltx-pipelines"))
    return f"PYTHONPATH={quote(paths)} python -m ltx_pipelines.distilled --help"


def _applied(done: Applied, *, next_step: str) -> Iterator[str]:
    if done.finished:
        yield f"a run was cut off here and left {len(done.finished)} files; finished"
    if done.action == "finished":
        return
    merged = f" on {done.revision[:12]}, which is no base," if done.revision else ""
    if done.action == "nothing to do":
        held = f"the series of {done.base}{merged} up to {done.group}"
        yield f"nothing to do: {done.place} holds {held}"
        return
    for patch in done.patches:
        yield (
            f"  {patch.group:<12} {patch.name:<52} {patch.files:>3} files {patch.hunks:>3} hunks"
            f"{f'  {patch.how.value}' if done.revision else ''}"
        )
    if done.overlay:
        yield f"  {'':<12} {'overlay':<52} {len(done.overlay):>3} files"
    branch = f", branch {done.branch}" if done.branch else ""
    if done.revision:
        hows = [patch.how.value for patch in done.patches]
        counts = ", ".join(f"{hows.count(how)} {how}" for how in dict.fromkeys(hows))
        yield (
            f"{done.place} is at {done.revision[:12]}, which is no base; the series of {done.base} "
            f"supports it up to {done.group} ({counts}){branch}; every file parses and holds its "
            "symbols"
        )
    else:
        yield (
            f"{len(done.patches)} patches up to {done.group} on LTX-2 {done.base} in {done.place}"
            f"{branch}; every file is as the lock says"
        )
    yield f"next: {next_step}"
