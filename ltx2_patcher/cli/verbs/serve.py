"""Serve clips to other programs and people; docs/service.md.

The service is a program of its own, of which nothing is imported here.
"""

from __future__ import annotations

from ltx2_patcher.cli.options import add_json, path, store

TYPE_CHECKING = False  # as in report.py
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path

_WORDS = ("start", "stop", "status", "check", "node")
_NEEDED = ("fastapi", "multipart", "PIL", "prometheus_client", "pynvml", "starlette", "uvicorn")


def options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "word",
        nargs="?",
        choices=_WORDS,
        help="start it in the background, stop it, tell how it stands, or check the settings; "
        "without a word it runs in the foreground; node makes this machine one of several",
    )
    parser.add_argument(
        "--config", type=path, metavar="FILE", help="default: serve.toml beside the Makefile"
    )
    parser.add_argument("--host", help="listen there (default: as the file says, or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="default: as the file says, or 6020")
    parser.add_argument("--gpus", metavar="N,...", help="these cards alone, by nvidia-smi's index")
    parser.add_argument("--head", action="store_true", help="of node: the one that others join")
    parser.add_argument("--name", help="of node: what its cards are called after")
    add_json(parser)


def run(args: Namespace) -> int:
    import sys

    from ltx2_patcher.boundaries.proc import become, inherited_variables

    root = store().root
    _require_extra()
    words = [args.word or "run"]
    for name in ("config", "host", "port", "gpus", "name"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name}", str(value)]
    words += ["--head"] if args.head else []
    argv = (sys.executable, "-m", "ltx2_service", *words)
    variables = inherited_variables(PYTHONPATH=_with(root))
    if args.word != "check" or args.json:
        become((*argv, "--json") if args.json else argv, variables)
    return _check(argv, variables)


def _require_extra() -> None:
    """Raises: ConflictError where a library is lacking, with the command that installs them."""
    from importlib.util import find_spec

    from ltx2_patcher.values.errors import ConflictError

    if lacking := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConflictError(
            f"the service needs {', '.join(lacking)}, which the tool's environment lacks",
            remedy="run `make serve-install`",
        )


def _with(root: Path) -> str:
    """The search path that finds the service of this very clone first."""
    import os

    return os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))


def _check(argv: tuple[str, ...], variables: dict[str, str]) -> int:
    """Its findings as doctor shows them."""
    import json
    import sys

    from ltx2_patcher.boundaries.proc import call
    from ltx2_patcher.cli.findings_table import show_findings
    from ltx2_patcher.values.finding import Finding, Level

    done = call((*argv, "--json"), env=variables)
    try:
        found = json.loads(done.out)
    except ValueError:
        found = None
    if not isinstance(found, list):  # an error, told in words too
        sys.stderr.write(done.err.decode("utf-8", "replace"))
        return done.code
    show_findings([Finding(**{**one, "level": Level(one["level"])}) for one in found])
    return done.code
