"""Asks another Python: where it keeps upstream's packages, what its libraries make of a file."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ltx2_patcher.boundaries.proc import call, inherited_variables
from ltx2_patcher.values.errors import ConflictError, OutsideError, UsageError

_ANSWER_S = 120.0
DISTRIBUTIONS = ("ltx-core", "ltx-pipelines")

_QUESTION = """
import importlib.metadata as metadata, json, sys
packages = {}
for name in sys.argv[1:]:
    try:
        dist = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        packages[name] = None
        continue
    record = [str(f) for f in dist.files or () if f.name == "RECORD"]
    direct = json.loads(dist.read_text("direct_url.json") or "{}")
    editable = direct.get("dir_info", {}).get("editable", False)
    packages[name] = {
        "root": str(dist.locate_file("")),
        "record": record[0] if record else None,
        "editable": direct.get("url") if editable else None,
    }
print(json.dumps(packages))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where an environment keeps upstream's packages."""

    root: Path  # site-packages
    records: dict[str, str]  # distribution -> path of its RECORD below root


def answer_of(python: Path, question: str, *words: str, stdin: bytes = b"") -> bytes:
    """What a program prints that `python` runs with its own libraries, these arguments and stdin.

    Raises: OutsideError where it can't be started or takes over two minutes.
    """
    argv = (str(python.absolute()), "-I", "-c", question, *words)
    return call(argv, stdin=stdin, env=inherited_variables(), timeout_s=_ANSWER_S).out


def installed(python: Path) -> Installed:
    """Find ltx_core and ltx_pipelines of the environment of `python`.

    Raises: UsageError where that is no Python or lacks a package; ConflictError where one is
    installed editable (its files are a checkout's); OutsideError where Python can't be started.
    """
    # A relative name counts from here, not from the folder that the child starts in; links stay,
    # since an environment's python is one.
    program = str(python.absolute() if os.sep in str(python) else python)
    try:
        done = call(
            (program, "-c", _QUESTION, *DISTRIBUTIONS),
            cwd=Path("/"),  # "-c" puts the working folder on the path
            env=inherited_variables(without=("PYTHONPATH",)),
            timeout_s=60,
        )
        # The last line: what an environment says at its start comes before.
        packages = json.loads(done.out.splitlines()[-1])
    except (OutsideError, ValueError, IndexError) as error:
        raise UsageError(
            f"{python} is not a Python interpreter",
            remedy="name an environment's interpreter, such as .venv/bin/python",
        ) from error
    if lacking := [name for name in DISTRIBUTIONS if not packages[name]]:
        raise UsageError(
            f"{python} has no {' and no '.join(lacking)} installed",
            remedy="install both there first, or patch a checkout with --tree",
        )
    if editable := [item["editable"] for item in packages.values() if item["editable"]]:
        folder = shlex.quote(unquote(editable[0].removeprefix("file://")).split("/packages/")[0])
        raise ConflictError(
            f"{python} has upstream installed editable, from {folder}",
            remedy=f"patch that checkout: ltx2-patcher apply --tree {folder}",
        )
    roots = {item["root"] for item in packages.values()}
    if len(roots) != 1 or not all(item["record"] for item in packages.values()):
        raise OutsideError(
            f"{python}: upstream's packages are spread over {len(roots)} folders or have no RECORD",
            remedy="reinstall both with pip in one environment",
        )
    return Installed(
        Path(roots.pop()).resolve(), {name: item["record"] for name, item in packages.items()}
    )
