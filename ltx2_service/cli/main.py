"""Parse, call one job, turn an error into a sentence and an exit code."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from ltx2_patcher.values.errors import INTERRUPTED, OutsideError, PatcherError, UsageError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_service.boundaries.listening import url_of
from ltx2_service.boundaries.ray.process import become_node
from ltx2_service.boundaries.serve_file import read_settings
from ltx2_service.cli.serving import serve
from ltx2_service.jobs.checking import examine
from ltx2_service.jobs.control import start, status, stop
from ltx2_service.jobs.judging import Judging
from ltx2_service.jobs.offering import offers
from ltx2_service.rules.serve_toml import changed, parse_gpus
from ltx2_service.values.settings import Settings

TREE = Path(__file__).resolve().parents[2]
"""The toolkit's checkout."""
NAME = "serve.toml"


def run() -> NoReturn:
    """What `python -m ltx2_service` does."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """One of the words of `_WORDS`; the exit code says which class of error ended it."""
    args = _parser().parse_args(arguments)
    try:
        if args.word != "node" and (args.head or args.name is not None):
            raise UsageError(
                "--head and --name say what a node is", remedy="give them to: serve node"
            )
        file = TREE / NAME if args.config is None else args.config
        settings = changed(
            read_settings(file, TREE),
            host=args.host,
            port=args.port,
            gpus=None if args.gpus is None else parse_gpus(args.gpus),
        )
        return _WORDS[args.word](args, settings, file)
    except PatcherError as error:
        if args.json:
            print(json.dumps({"error": str(error), "remedy": error.remedy}))
        print(f"ltx2-service: {error}\n  to do: {error.remedy}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(_args: argparse.Namespace, settings: Settings, file: Path) -> int:
    # Of requests neither address nor prompt: the service tells itself what is worth it.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    logging.getLogger("uvicorn").setLevel("WARNING")
    judge = Judging(settings)
    for finding in examine(settings, judge, file):
        if finding.level is Level.FAILURE:
            raise OutsideError(
                f"{finding.subject}: {finding.fact}", remedy=finding.remedy or "see serve check"
            )
        if finding.level is Level.WARNING:
            print(f"warning: {finding.subject}: {finding.fact}", file=sys.stderr)
    return serve(settings, judge, offers(settings))


def _check(args: argparse.Namespace, settings: Settings, file: Path) -> int:
    findings = list(examine(settings, Judging(settings), file))
    if args.json:
        print(json.dumps([{**asdict(one), "level": one.level.value} for one in findings]))
    else:
        for finding in findings:
            print(_line(finding))
    failed = any(finding.level is Level.FAILURE for finding in findings)
    return OutsideError.exit_code if failed else 0


def _line(finding: Finding) -> str:
    remedy = f"; to do: {finding.remedy}" if finding.remedy else ""
    return f"{finding.level.value:8} {finding.subject}: {finding.fact}{remedy}"


def _start(args: argparse.Namespace, settings: Settings, file: Path) -> int:
    argv = [sys.executable, "-m", "ltx2_service", "run", "--config", str(file.absolute())]
    for name in ("host", "port", "gpus"):
        if (value := getattr(args, name)) is not None:
            argv += [f"--{name}", str(value)]
    there = start(settings, argv)
    where = url_of(there.host, there.port)
    _show(args, {**asdict(there), "url": where}, f"process {there.pid} serves {where}/")
    return 0


def _stop(args: argparse.Namespace, settings: Settings, _file: Path) -> int:
    stopped = stop(settings)
    if stopped is None:
        _show(args, {"stopped": None}, "nothing to do: the service does not run")
        return 0
    said = f"process {stopped.pid} has ended; clips that waited are kept for the next start"
    if stopped.killed:
        said = (
            f"process {stopped.pid} did not end in time and was killed; its workers end by "
            f"themselves within {settings.orphan_s:.0f} s"
        )
    _show(args, {"stopped": asdict(stopped)}, said)
    return 0


def _status(args: argparse.Namespace, settings: Settings, _file: Path) -> int:
    there, health = status(settings)
    lines = [f"process {there.pid} serves {url_of(there.host, there.port)}/"]
    lines += [f"  {key}: {_told(value)}" for key, value in health.items()]
    _show(args, {**asdict(there), "health": health}, *lines)
    return 0


def _node(args: argparse.Namespace, settings: Settings, file: Path) -> int:
    if settings.cluster is None:
        raise UsageError(
            f"{file} has no cluster that this machine could be a node of",
            remedy='set executor = "ray", and the head\'s address under [ray]',
        )
    become_node(settings.cluster, settings.tree, args.name, head=args.head)


def _told(value: object) -> str:
    """A part of /health for people: a line for each card."""
    if isinstance(value, list):
        return "".join(f"\n    {_told(one)}" for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(one)}" for key, one in value.items() if one is not None)
    return str(value)


def _show(args: argparse.Namespace, value: object, *lines: str) -> None:
    if args.json:
        print(json.dumps(value, indent=1))
    else:
        print("\n".join(lines))


_WORDS: Mapping[str, Callable[[argparse.Namespace, Settings, Path], int]] = {
    "run": _run,
    "start": _start,
    "stop": _stop,
    "status": _status,
    "check": _check,
    "node": _node,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ltx2_service", description="The video service; see docs/service.md."
    )
    parser.add_argument("word", nargs="?", choices=list(_WORDS), default="run")
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"default: {TREE / NAME}")
    parser.add_argument("--host", help="listen there, whatever the file says")
    parser.add_argument("--port", type=int)
    parser.add_argument("--gpus", metavar="N,...", help="these cards alone")
    parser.add_argument("--head", action="store_true", help="of node: the one that others join")
    parser.add_argument("--name", help="of node: what its cards are called after")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser
