"""Verbs of the series: apply, unapply, status, export, lint."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ltx2_patcher.doors.report import add_json, show, store
from ltx2_patcher.values.errors import UsageError

if TYPE_CHECKING:
    from ltx2_patcher.jobs.apply import Applied, Status

DEFAULT_BASE = "1.0.0"


def register(verbs: _SubParsersAction[ArgumentParser]) -> None:
    """Add the verbs; their jobs are imported when one is called."""
    apply = verbs.add_parser("apply", help="obtain a base and apply the series")
    _place(apply)
    apply.add_argument(
        "--source",
        choices=("auto", "git", "pypi"),
        default="auto",
        help="where a fresh checkout comes from (default: git, else the published wheels)",
    )
    apply.add_argument("--upto", metavar="GROUP", help="stop after this group of the series")
    apply.add_argument(
        "--onto-branch",
        metavar="NAME",
        help="commit the patches on this branch (default: ltx2-patcher/BASE)",
    )
    _dry(apply)
    apply.set_defaults(verb=_apply)

    unapply = verbs.add_parser("unapply", help="put everything back as it was before apply")
    _place(unapply)
    _dry(unapply)
    unapply.set_defaults(verb=_unapply)

    status = verbs.add_parser("status", help="tell how a tree or an environment stands")
    _place(status)
    add_json(status)
    status.set_defaults(verb=_status)

    export = verbs.add_parser(
        "export", help="write the commits of a patched tree back as the series, or as one mailbox"
    )
    export.add_argument("--base", default=DEFAULT_BASE)
    export.add_argument("--tree", type=Path, metavar="DIR", help="default: the checkout in vendor/")
    export.add_argument(
        "--mbox",
        type=Path,
        metavar="FILE",
        help="write the whole series, overlay first, as one file for plain `git am`; "
        "the tree is not looked at",
    )
    _dry(export)
    export.set_defaults(verb=_export)

    lint = verbs.add_parser("lint", help="check every series: patches, lock, overlay, symbols")
    add_json(lint)
    lint.set_defaults(verb=_lint)


def _place(parser: ArgumentParser) -> None:
    parser.add_argument("--base", help=f"which upstream (default: {DEFAULT_BASE})")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--tree", type=Path, metavar="DIR", help="a clone of your own (default: one in vendor/)"
    )
    place.add_argument(
        "--site-packages",
        type=Path,
        metavar="PYTHON",
        help="the ltx_core and ltx_pipelines installed for this interpreter",
    )


def _dry(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    add_json(parser)
