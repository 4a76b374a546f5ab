"""Options that several verbs have, and what they stand for.

Imported by every verb, so it imports nothing slow itself.
"""

from __future__ import annotations

from ltx2_patcher.values.errors import UsageError

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path

    from ltx2_patcher.boundaries.store import Store
    from ltx2_patcher.values.base import Base

DEFAULT_BASE = "1.0.0"


def add_json(parser: ArgumentParser) -> None:
    """The option that every verb has."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_dry_run(parser: ArgumentParser) -> None:
    """The options of every verb that changes something."""
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    add_json(parser)


def add_place(parser: ArgumentParser) -> None:
    """Which tree or environment, of which base."""
    parser.add_argument(
        "--base",
        help=f"which upstream (default: {DEFAULT_BASE}; with --tree, the one that supports it; "
        "with --site-packages, the one that is installed)",
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


def add_base(parser: ArgumentParser) -> None:
    """The base, where no tree tells it."""
    parser.add_argument(
        "--base", default=DEFAULT_BASE, help="which upstream (default: %(default)s)"
    )


def add_base_of_python(parser: ArgumentParser, what: str) -> None:
    """An environment, and the base that it is for."""
    parser.add_argument(
        "--base",
        help=f"which upstream (default: the one that PYTHON has installed, else {DEFAULT_BASE})",
    )
    add_python(parser, what)


def add_python(parser: ArgumentParser, what: str) -> None:
    """An environment, by its interpreter."""
    parser.add_argument("--python", type=path, metavar="PYTHON", help=what)


def add_gpu(parser: ArgumentParser) -> None:
    """One card of several."""
    parser.add_argument("--gpu", type=int, metavar="N", help="which card, by nvidia-smi's index")


def path(text: str) -> Path:
    """An argument that names a file or folder."""
    from argparse import ArgumentTypeError

    from ltx2_patcher.boundaries.disk import expanded

    if not text:
        raise ArgumentTypeError("a path can't be empty; name a file or folder")
    return expanded(text)


def store() -> Store:
    """The data of the repository that this package lies in.

    Raises: ConflictError where the tool was started from a copy of another clone's environment.
    """
    import sys
    from pathlib import Path

    from ltx2_patcher.boundaries.store import Store
    from ltx2_patcher.values.errors import ConflictError

    root = Path(__file__).resolve().parents[2]
    # A copy's script still starts the clone that it was installed for, and would change that one.
    environment = Path(sys.argv[0]).absolute().parent.parent
    clone = environment.parent.resolve()
    if environment.name == ".venv" and clone != root and (clone / "vendor").is_dir():
        raise ConflictError(
            f"{environment} was made for the clone in {root}, not for {clone}",
            remedy=f"run `make patch` in {clone}, which makes it anew",
        )
    return Store(root)


def asked_base(args: Namespace) -> Base | None:
    """The base that was named; where none was, the tree or the environment tells it."""
    if args.base is None:
        return None
    teller = "the tree" if args.tree else "the environment" if args.site_packages else None
    return _named(store(), args.base, teller)


def base_of_python(args: Namespace) -> Base:
    """The base that was named, or that the environment holds, or the default."""
    data = store()
    if args.base is not None:
        return _named(data, args.base, "the environment" if args.python else None)
    if args.python:
        from ltx2_patcher.jobs.series.site_packages import installed_base

        if base := installed_base(data, args.python):
            return base
    return base_or_default(data, args)


def _named(data: Store, name: str, teller: str | None) -> Base:
    """The base of that name. Raises: UsageError, saying who tells it where none is named."""
    try:
        return data.base(name)
    except UsageError as error:
        if teller is None:
            raise
        raise UsageError(
            str(error), remedy=f"leave --base out: {teller} tells it; or {error.remedy}"
        ) from error


def base_or_default(data: Store, args: Namespace) -> Base:
    """The base that was named, or the default where none was."""
    return data.base(DEFAULT_BASE if args.base is None else args.base)


def tree_of(args: Namespace) -> Path:
    """The tree that was named, or the base's checkout.

    Raises: UsageError where there is none, ConflictError where something else is in its place.
    """
    from ltx2_patcher.jobs.series.obtain import checkout_path, occupied, require_checkout

    if args.tree:
        tree: Path = args.tree
        return tree
    data = store()
    base = base_or_default(data, args)
    checkout = checkout_path(data, base)
    if not occupied(checkout):
        raise UsageError(
            f"there is no checkout of {base.name} yet", remedy="run `make patch` first"
        )
    require_checkout(checkout)
    return checkout
