"""The command line: `python -m tests.upstream.stage_record OUT MODULE [ARGUMENT ...]`."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ltx2_patcher.values.errors import UsageError
from tests.upstream.stage_record.events import write_events
from tests.upstream.stage_record.hooks import recorded
from verify import command
from verify.synthetic.staging import require_vacant, staged


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.upstream.stage_record",
        description="Record what one of upstream's scripts does, stage by stage.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    parser.add_argument("module", metavar="MODULE", help="for example ltx_pipelines.distilled")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the script")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run `main()` of a module of upstream's and leave the record of it at OUT: 0.

    However the script ends, what it did until then is recorded, and it ends so here.
    """
    _record(args.out.absolute(), args.module, args.arguments)
    return 0


def _record(out: Path, name: str, arguments: Sequence[str]) -> None:
    require_vacant(out)
    _find(name)
    module = importlib.import_module(name)
    before = sys.argv
    sys.argv = [str(module.__file__), *arguments]
    ended: BaseException | None = None
    try:
        with staged(out) as folder, recorded() as events:
            try:
                module.main()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script lets through
                ended = error
            write_events(folder, events)
    finally:
        sys.argv = before
    if ended is not None:
        raise ended


def _find(name: str) -> None:
    """Raises: UsageError (there is no such module)."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise UsageError(
            f"there is no module {name}",
            remedy="name one of upstream's scripts, and put its packages on PYTHONPATH",
        )


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
