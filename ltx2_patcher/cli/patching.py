"""Verbs of the series: apply, unapply, status, export, lint."""

from __future__ import annotations

import sys

from ltx2_patcher.cli.report import add_json, path, show, store
from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Iterator
    from pathlib import Path

    from ltx2_patcher.jobs.series.apply import Applied
    from ltx2_patcher.jobs.series.status import Status

DEFAULT_BASE = "1.0.0"


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""
    apply = verbs.add_parser("apply", help="obtain a base and apply the series")
    _place(apply)
    apply.add_argument(
        "--source",
        choices=("auto", "git", "pypi"),
        help="where a fresh checkout comes from (auto, the default: git, else the wheels)",
    )
    apply.add_argument("--upto", metavar="GROUP", help="stop after this group of the series")
    apply.add_argument(
        "--onto-branch",
        metavar="NAME",
        help="commit the patches on this branch (default: ltx2-patcher/BASE)",
    )
    add_dry_run(apply)
    apply.set_defaults(verb=_apply)

    unapply = verbs.add_parser("unapply", help="put everything back as it was before apply")
    _place(unapply)
    add_dry_run(unapply)
    unapply.set_defaults(verb=_unapply)

    status = verbs.add_parser("status", help="tell how a tree or an environment stands")
    _place(status)
    add_json(status)
    status.set_defaults(verb=_status)

    export = verbs.add_parser(
        "export", help="write the commits of a patched tree back as the series, or as one mailbox"
    )
    export.add_argument("--base", help=f"default: {DEFAULT_BASE}; with --check every one")
    place = export.add_mutually_exclusive_group()
    place.add_argument("--tree", type=path, metavar="DIR", help="default: the checkout in vendor/")
    place.add_argument(
        "--check",
        action="store_true",
        help="only check that exporting gives patches/ back byte for byte; no tree is looked at",
    )
    place.add_argument(
        "--mbox",
        type=path,
        metavar="FILE",
        help="write the whole series, overlay first, as one file for plain `git am`, or to "
        "stdout (-); the tree is not looked at",
    )
    place.add_argument(
        "--in-place",
        action="store_true",
        help="take patches/ as it lies: lock the overlay's files, and let bases share what they "
        "have alike; no tree is looked at",
    )
    add_dry_run(export)
    export.set_defaults(verb=_export)

    lint = verbs.add_parser("lint", help="check every series: patches, lock, overlay, symbols")
    add_json(lint)
    lint.set_defaults(verb=_lint)


def _place(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        help=f"which upstream (default: {DEFAULT_BASE}; with --tree, the one that serves it)",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--tree", type=path, metavar="DIR", help="a clone of your own (default: one in vendor/)"
    )
    place.add_argument(
        "--site-packages",
        type=path,
        metavar="PYTHON",
        help="the ltx_core and ltx_pipelines installed for this interpreter",
    )


def add_dry_run(parser: ArgumentParser) -> None:
    """The options of every verb that changes something."""
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    add_json(parser)


def _apply(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.apply import apply_tree

    data = store()
    if args.source and (args.tree or args.site_packages):
        raise UsageError(
            "--source goes with a fresh checkout", remedy="leave it out, or leave --tree out"
        )
    choice = {"upto": args.upto, "dry_run": args.dry_run}
    if args.tree:
        asked = data.base(args.base) if args.base else None  # none: the one that serves the tree
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


def _unapply(args: Namespace) -> int:
    data = store()
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import installed_status, unapply_installed

        asked = data.base(args.base) if args.base else None
        base = data.base(installed_status(data, args.site_packages, asked).base)
        done = unapply_installed(data, base, args.site_packages, dry_run=args.dry_run)
    else:
        from ltx2_patcher.jobs.series.apply import unapply_tree

        asked = data.base(args.base) if args.base else None
        done = unapply_tree(data, asked, tree_of(args), dry_run=args.dry_run)
    show(args, done, _removed(done))
    return 0


def _status(args: Namespace) -> int:
    if args.site_packages:
        from ltx2_patcher.jobs.series.site_packages import installed_status

        asked = store().base(args.base) if args.base else None
        status = installed_status(store(), args.site_packages, asked)
    else:
        status = _tree_status(args, tree_of(args))
    show(args, status, _standing(status))
    return 0


def _export(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.export import export, mailbox, write_mailbox

    data = store()
    if args.check:
        return _check_export(args)
    if args.in_place:
        return _export_in_place(args)
    base = data.base(args.base or DEFAULT_BASE)
    if args.mbox and str(args.mbox) == "-":
        sys.stdout.buffer.write(mailbox(data, base))
        return 0
    if args.mbox:
        if args.dry_run:
            mailbox(data, base)
        else:
            write_mailbox(data, base, args.mbox)
        written = {"base": base.name, "commit": base.commit, "mbox": args.mbox}
        show(args, written, [f"the series for `git am` on {base.commit[:12]}: {args.mbox}"])
        return 0
    done = export(data, base, tree_of(args), dry_run=args.dry_run)
    lines = [f"a change was cut off here and is finished now: {done.finished}"]
    lines = lines if done.finished else []
    lines += [f"{len(done.patches)} patches of {done.base}"]
    lines += [f"  written  {file}" for file in done.changed]
    lines += [f"  removed  {file}" for file in done.removed]
    show(args, done, lines)
    return 0


def _export_in_place(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.in_place import export_in_place

    done = export_in_place(store(), dry_run=args.dry_run)
    lines = [f"a change was cut off here and is finished now: {done.finished}"]
    lines = lines if done.finished else []
    lines += [f"patches/ as it lies: {len(done.changed) + len(done.removed) or 'no'} files change"]
    lines += [f"  written  {file}" for file in done.changed]
    lines += [f"  removed  {file}" for file in done.removed]
    show(args, done, lines)
    return 0


def _check_export(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.export import check_export

    data = store()
    asked = (data.base(args.base),) if args.base else data.bases()
    checked = [check_export(data, base) for base in asked]
    if not any(item.source for item in checked):
        raise UsageError(
            f"no files of upstream are here to check {', '.join(b.name for b in asked)} with",
            remedy=f"obtain them with `make patch BASE={asked[0].name}`",
        )
    nowhere = "not checked, no files of upstream are here to do it with"
    lines = [
        f"{item.base}: {item.patches} patches, "
        + (f"the same byte for byte (on vendor/{item.source})" if item.source else nowhere)
        for item in checked
    ]
    show(args, checked, lines)
    return 0


def _lint(args: Namespace) -> int:
    from ltx2_patcher.jobs.series.lint import could_share, lint

    checked, alike = lint(store()), could_share(store())
    lines = [f"{item.base}: {item.patches} patches, sound" for item in checked]
    lines += [
        f"{item.patch} is alike on {' and '.join(item.bases)}: share it with "
        "`ltx2-patcher export --in-place`"
        for item in alike
    ]
    show(args, checked, lines)
    return 0


def tree_of(args: Namespace) -> Path:
    """The tree that was named, or the base's checkout. Raises: UsageError where there is none."""
    from ltx2_patcher.jobs.series.obtain import checkout_path

    if args.tree:
        tree: Path = args.tree
        return tree
    base = store().base(args.base or DEFAULT_BASE)
    checkout = checkout_path(store(), base)
    if not checkout.exists():
        raise UsageError(
            f"there is no checkout of {base.name} yet", remedy="run `make patch` first"
        )
    return checkout


def _tree_status(args: Namespace, tree: Path) -> Status:
    from ltx2_patcher.jobs.series.status import tree_status

    data = store()
    return tree_status(data, tree, data.base(args.base) if args.base else None)


_NEXT = "make install   (once), then   .venv/bin/ltx2-patcher run distilled -- --help"


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
            f"serves it up to {done.group} ({counts}){branch}; every file parses and holds its "
            "symbols"
        )
    else:
        yield (
            f"{len(done.patches)} patches up to {done.group} on LTX-2 {done.base} in {done.place}"
            f"{branch}; every file is as the lock says"
        )
    yield f"next: {next_step}"


def _removed(done: Applied) -> Iterator[str]:
    if done.action == "finished":
        yield f"a run was cut off here and left {len(done.finished)} files, which come first"
    elif done.action == "nothing to do":
        yield f"nothing to do: {done.place} is not patched"
    else:
        yield f"{done.place} is as it was before the patches"


def _standing(status: Status) -> Iterator[str]:
    from ltx2_patcher.values.series import Standing

    judgement = status.judgement
    group = f", up to {judgement.group}" if judgement.group else ""
    yield f"{status.place}: {judgement.standing.value}{group}"
    merged = f" merged into {status.revision[:12]}" if status.revision else ""
    yield f"  base {status.base}{merged}, source {status.source}"
    for name in status.patches:
        yield f"  in      {name}"
    for name in judgement.differing:
        yield f"  differs {name}"
    if judgement.standing is Standing.EDITED:
        yield "  edited, or at a revision that is no base: `apply --dry-run` tells what serves it"
    if status.cut_off:
        yield "  a run was cut off here: run apply or unapply again to finish it"
