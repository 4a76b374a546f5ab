"""Upstream's published wheels: download by pip, check, unpack."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from ltx2_patcher.boundaries.proc import TimedOut, call, inherited_variables
from ltx2_patcher.boundaries.refusals import refusal_in
from ltx2_patcher.rules.environment.pip_output import last_word, lost_connection
from ltx2_patcher.values.base import Wheel
from ltx2_patcher.values.errors import InvalidError, OutsideError


def download(wheels: tuple[Wheel, ...], folder: Path, *, timeout_s: float) -> dict[Wheel, Path]:
    """Bring each wheel into `folder`; the index is whatever pip is configured for.

    Raises: OutsideError where pip fails or is too slow, InvalidError where a digest differs.
    """
    names = [f"{wheel.distribution}=={wheel.version}" for wheel in wheels]
    flags = ("--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=8")
    try:
        done = call(
            (sys.executable, "-m", "pip", "download", *flags, "-d", str(folder), *names),
            env=inherited_variables(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1"),
            timeout_s=timeout_s,
        )
    except TimedOut as error:
        raise _not_brought(names, f"no answer within {timeout_s:.0f} s") from error
    if done.code:
        raise _explained(names, folder, (done.out + done.err).decode("utf-8", "replace"))
    return {wheel: _checked(wheel, folder) for wheel in wheels}


def contents(wheel: Wheel, path: Path) -> dict[str, bytes]:
    """The package's files: path in upstream's tree -> bytes. Metadata is left out.

    Raises: InvalidError where the archive is torn or holds a path that leaves the package.
    """
    import zipfile  # slow to import, and `status` comes through here

    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.startswith(f"{wheel.package}/")]
            if bad := [n for n in names if ".." in n.split("/") or "\\" in n]:
                raise InvalidError(f"{path.name} holds {bad[0]!r}", remedy=_REMEDY)
            prefix = f"packages/{wheel.distribution}/src"
            return {f"{prefix}/{n}": archive.read(n) for n in names if not n.endswith("/")}
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InvalidError(f"{path.name} is not a whole wheel: {error}", remedy=_REMEDY) from error


def _explained(names: list[str], folder: Path, output: str) -> OutsideError:
    if "No module named pip" in output:
        return OutsideError(
            f"{sys.executable} has no pip to bring the wheels with",
            remedy="install pip there, or take SOURCE=git",
        )
    if known := refusal_in(output, folder):
        return known
    return _not_brought(names, lost_connection(output) or last_word(output))


def _not_brought(names: list[str], why: str) -> OutsideError:
    return OutsideError(
        f"pip could not bring {' and '.join(names)}: {why}",
        remedy="check the network and `pip config list`, then run again; a base that lies in "
        "vendor/ works without",
    )


_REMEDY = "clear pip's cache with `pip cache purge`, check which index pip uses, and run again"


def _checked(wheel: Wheel, folder: Path) -> Path:
    (path,) = folder.glob(f"{wheel.package}-{wheel.version}-*.whl")
    if (digest := hashlib.sha256(path.read_bytes()).hexdigest()) != wheel.sha256:
        raise InvalidError(
            f"{path.name} has sha256 {digest[:16]}..., pinned is {wheel.sha256[:16]}...",
            remedy=_REMEDY,
        )
    return path
