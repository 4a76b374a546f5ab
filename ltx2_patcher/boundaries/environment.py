"""A Python environment: what it holds, making one, and pip in it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.disk import replace, translated
from ltx2_patcher.boundaries.machine import free_bytes
from ltx2_patcher.boundaries.proc import call, inherited_variables, watch
from ltx2_patcher.rules.environment.requirements import Step, normalized
from ltx2_patcher.values.errors import BusyError, OutsideError, UsageError

_LINK = "ltx2_patcher_upstream.pth"
_DESCRIBE = """\
import json, sys, sysconfig
print(json.dumps([sys.version.split()[0], sysconfig.get_path("purelib"), sys.path]))
"""
_PIP_BYTES = 32 << 20
_DIST_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.dist-info")
_SHOWN = ("Collecting ", "Downloading ", "Installing collected", "Using cached ")
_TORCH_CUDA = re.compile(r"^cuda\b[^=]*=\s*(?:'([\d.]+)'|None)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter and where it finds its packages."""

    python: Path
    version: str  # "3.11.7"
    packages: Path  # where pip puts pure Python packages
    folders: tuple[Path, ...]  # everywhere it looks

    def installed(self) -> dict[str, str]:
        """Distribution (normalized name) -> version, those that are there whole."""
        return {name: version for name, (version, _) in self._distributions().items()}

    def sweep(self) -> None:
        """Forget distributions that a killed pip left half installed.

        pip writes RECORD last; without it a distribution passes for installed, and can't be
        uninstalled.
        """
        with translated(self.packages):
            for folder in self.packages.glob("*.dist-info"):
                if not (folder / "RECORD").exists():
                    shutil.rmtree(folder)

    def torch_build(self) -> str | None:
        """Either "cpu", or the CUDA version torch was built with; None without torch."""
        for folder in self.folders:
            version = folder / "torch/version.py"
            if version.is_file():
                match = _TORCH_CUDA.search(version.read_text("utf-8", "replace"))
                return match[1] if match and match[1] else "cpu"
        return None

    def compiled_torchaudio(self) -> list[Path]:
        """The compiled libraries of torchaudio; those on the package index are for CUDA."""
        return sorted(self.packages.glob("torchaudio/lib/*.so"))

    def linked(self) -> tuple[Path, ...]:
        """The folders that `link` has put on its path."""
        link = self.packages / _LINK
        return tuple(map(Path, link.read_text("utf-8").splitlines())) if link.is_file() else ()

    def link(self, folders: tuple[Path, ...]) -> None:
        """Put folders on its path. Raises: OutsideError."""
        replace(self.packages / _LINK, "".join(f"{folder}\n" for folder in folders).encode())

    def _distributions(self) -> dict[str, tuple[str, Path]]:
        distributions: dict[str, tuple[str, Path]] = {}
        for folder in reversed(self.folders):  # the first on the path counts
            for info in folder.glob("*.dist-info"):
                match = _DIST_INFO.fullmatch(info.name)
                if match and (info / "RECORD").exists():
                    distributions[normalized(match["name"])] = (match["version"], info)
        return distributions


def describe(python: Path) -> Environment:
    """The environment of an interpreter. Raises: UsageError where it is none."""
    # Not resolved: a virtual environment's python is a link, and the link is what makes it one.
    program = str(python.absolute())
    try:
        done = call((program, "-I", "-c", _DESCRIBE), timeout_s=30)
        version, packages, path = json.loads(done.out)
    except (OutsideError, ValueError) as error:
        raise UsageError(
            f"{python} is not a working Python",
            remedy="name the environment's bin/python",
        ) from error
    folders = tuple(Path(folder) for folder in path if Path(folder).is_dir())
    return Environment(Path(program), version, Path(packages), folders)


def make(folder: Path) -> Environment:
    """An environment at `folder` with pip, made by the Python that runs this; begun anew where a
    killed run left a half one.

    Raises: OutsideError where venv is missing or can't write; BusyError where a child of that
    killed run is still at it.
    """
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    done = call((sys.executable, "-m", "venv", "--clear", str(folder)))
    if done.code:
        output = (done.out + done.err).decode("utf-8", "replace")
        # venv keeps back what its own pip said, so a full disk has to be looked for.
        if "No space left" in output or free_bytes(folder) < _PIP_BYTES:
            raise _no_space(folder)
        if "Directory not empty" in output:
            # Killing a run does not kill the pip that it had started.
            raise BusyError(
                f"what a killed run had started still writes into {folder}",
                remedy="wait some seconds and run the command again",
            )
        if "ensurepip is not available" in output:
            raise OutsideError(
                "this Python can't make an environment: ensurepip is missing",
                remedy="install your system's python3-venv package",
            )
        raise OutsideError(
            f"no environment could be made at {folder}: {done.complaint}",
            remedy="check that the folder is writable, and run the command again",
        )
    return describe(folder / "bin/python")


def install(
    target: Environment,
    step: Step,
    keep: Mapping[str, str],
    progress: Callable[[str], None],
) -> None:
    """One pip call, from whatever index pip is configured for; `keep` holds versions in place.

    Raises: OutsideError where pip is missing, finds no package, or can't write.
    """
    # An environment that uv made has no pip; ours can work on it from outside.
    pip = [str(target.python), "-I", "-m", "pip"]
    if "pip" not in target.installed():
        pip = [sys.executable, "-m", "pip", "--python", str(target.python)]
    flags = ["--no-input", "--disable-pip-version-check", "--only-binary=:all:"]
    flags += ["--retries=2", "--timeout=15", "--progress-bar=off"]
    if not step.dependencies:
        flags.append("--no-deps")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        pins = {f"{name}=={version}" for name, version in keep.items()} - set(step.wanted)
        constraints.writelines(f"{pin}\n" for pin in sorted(pins))
        constraints.flush()
        done = watch(
            (*pip, "install", *flags, "-c", constraints.name, *step.wanted),
            lambda line: progress(line) if line.lstrip().startswith(_SHOWN) else None,
            env=inherited_variables(without=("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET")),
        )
    if done.code:
        raise _explained(target, step, done.err.decode("utf-8", "replace"))


def _explained(target: Environment, step: Step, output: str) -> OutsideError:
    wanted = " ".join(step.wanted)
    if "No space left" in output:
        return _no_space(target.packages)
    if "Permission denied" in output or "Read-only file system" in output:
        return OutsideError(
            f"no permission to install into {target.packages}",
            remedy="make it writable for you, or run install without --python",
        )
    if "No module named pip" in output:
        return OutsideError(
            f"neither {target.python} nor the Python that runs this has pip",
            remedy=f"install {wanted} there by hand, for example with uv pip install --python",
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        return OutsideError(
            f"pip's index has no {wanted} for Python {target.version}, or can't be reached",
            remedy="check the network and `pip config list`, and use a Python from 3.11 to 3.13",
        )
    if "ResolutionImpossible" in output:
        return OutsideError(
            f"{wanted} does not go with what {target.python} has",
            remedy="run install without --python, which makes an environment of its own",
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return OutsideError(
        f"pip could not install {wanted}: {(errors or output.splitlines() or ['no word'])[-1]}",
        remedy="check the network and `pip config list`, and run the command again",
    )


def _no_space(folder: Path) -> OutsideError:
    return OutsideError(
        f"no space left to install into {folder}",
        remedy="free some space (CPU torch takes 2 GB, CUDA torch 8 GB) and run it again: "
        "it goes on where it stopped",
    )
