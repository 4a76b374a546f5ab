"""A Python environment: what it holds, making one, and pip in it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.disk import replace, temporary_folder, translated
from ltx2_patcher.boundaries.proc import call, inherited_variables, watch
from ltx2_patcher.boundaries.refusals import refusal_in
from ltx2_patcher.rules.environment.pip_output import last_word, lost_connection
from ltx2_patcher.rules.environment.requirements import Step, normalized
from ltx2_patcher.values.errors import BusyError, OutsideError, UsageError

_LINK = "ltx2_patcher_upstream.pth"
_DESCRIBE = """\
import json, sys, sysconfig
print(json.dumps([sys.version.split()[0], sysconfig.get_path("purelib"), sys.path]))
"""
_OTHERS = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET")
"""Variables that would let pip look at, or write to, another place than the environment."""
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
    python = folder / "bin/python"
    # venv would keep back what its own ensurepip says.
    for step in (
        (sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder)),
        (str(python), "-m", "ensurepip", "--upgrade", "--default-pip"),
    ):
        done = call(step, env=inherited_variables(without=_OTHERS))
        if done.code:
            shutil.rmtree(folder, ignore_errors=True)  # of no use to anybody, on a full disk
            raise _unmade(folder, (done.out + done.err).decode("utf-8", "replace"))
    return describe(python)


def _unmade(folder: Path, output: str) -> OutsideError | BusyError:
    if known := refusal_in(output, folder):
        return known
    if "Directory not empty" in output:
        # Killing a run does not kill the pip that it had started.
        return BusyError(
            f"what a killed run had started still writes into {folder}",
            remedy="wait some seconds and run the command again",
        )
    if "No module named" in output or "ensurepip is" in output:
        return OutsideError(
            "this Python can't make an environment: venv or ensurepip is missing",
            remedy="install your system's python3-venv package",
        )
    return OutsideError(
        f"no environment could be made at {folder}: {last_word(output)}",
        remedy="see whether `python3 -m venv` makes one elsewhere, and run the command again",
    )


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
    with temporary_folder() as folder:
        constraints = folder / "constraints.txt"
        pins = {f"{name}=={version}" for name, version in keep.items()} - set(step.wanted)
        replace(constraints, "".join(f"{pin}\n" for pin in sorted(pins)).encode())
        done = watch(
            (*pip, "install", *flags, "-c", str(constraints), *step.wanted),
            lambda line: progress(line) if line.lstrip().startswith(_SHOWN) else None,
            env=inherited_variables(without=_OTHERS),
        )
    if done.code:
        raise _explained(target, step, done.err.decode("utf-8", "replace"))


def _explained(target: Environment, step: Step, output: str) -> OutsideError:
    wanted = " ".join(step.wanted)
    if "No space left" in output:
        return _no_space(target.packages)
    if "No space left" in output:
        return _no_space(target.packages)
    if known := refusal_in(output, target.packages):
        return known
    if "No module named pip" in output:
        return OutsideError(
            f"neither {target.python} nor the Python that runs this has pip",
            remedy=f"install {wanted} there by hand, for example with uv pip install --python",
        )
    if lost := lost_connection(output):
        return OutsideError(
            f"pip could not bring {wanted}: {lost}",
            remedy="check the network, a proxy and `pip config list`, and run the command again: "
            "what is installed already stays, and works without",
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        return OutsideError(
            f"pip's index has no {wanted} for Python {target.version}",
            remedy="check `pip config list`, and use a Python from 3.11 to 3.13",
        )
    if "ResolutionImpossible" in output:
        return OutsideError(
            f"{wanted} does not go with what {target.python} has",
            remedy="run install without --python, which makes an environment of its own",
        )
    return OutsideError(
        f"pip could not install {wanted}: {last_word(output)}",
        remedy="check the network and `pip config list`, and run the command again",
    )


def _no_space(folder: Path) -> OutsideError:
    return OutsideError(
        f"no space left to install into {folder}",
        remedy="free some space there and in the folder for temporary files (CPU torch takes 2 GB, "
        "CUDA torch 8 GB), and run it again: it goes on where it stopped",
    )
