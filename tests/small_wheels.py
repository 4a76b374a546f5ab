"""Wheels of a few bytes that bear the pinned names, so that a real pip fills a real environment."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ltx2_patcher.values.base import Base

# torch tells how it was built; torchaudio brings libraries that a CPU torch can't load.
_CONTENT = {
    "torch": {"torch/__init__.py": "", "torch/version.py": "cuda: Optional[str] = None\n"},
    "torchaudio": {"torchaudio/__init__.py": "", "torchaudio/lib/_torchaudio.so": "for CUDA"},
}


def write_wheels(folder: Path, pins: Mapping[str, str]) -> Path:
    """One wheel a pin."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in pins.items():
        package = name.replace("-", "_")
        files = _CONTENT.get(name, {f"{package}/__init__.py": ""})
        info = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            recorded = [*files, f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
            wheel.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in recorded))
    return folder


def only_from(folder: Path) -> dict[str, str]:
    """Configure pip to know no other source."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": "/dev/null"}


def tiny(base: Base, folder: Path) -> dict[str, str]:
    """Wheels of all that `base` pins, and the configuration that brings them."""
    return only_from(write_wheels(folder, base.environment))


def make_environment(folder: Path, pins: Mapping[str, str]) -> Path:
    """An environment that holds the pins; its interpreter. No pip, so it takes no time."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in write_wheels(folder / "wheels", pins).glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(packages)
    return folder / "bin/python"
