"""A program named nvidia-smi that answers as NVIDIA's does: its interface is all we know of it."""

from __future__ import annotations

from pathlib import Path

RTX_3090 = "0, GPU-ad58b9e8-0c52, NVIDIA GeForce RTX 3090, 24576, 24100, 8.6, 580.95.05"
# As an H200 really answers, but for its number.
H200 = "0, GPU-5e2f10aa-71d4, NVIDIA H200, 143771, 143156, 9.0, 580.159.04"


def write_nvidia_smi(folder: Path, *lines: str, code: int = 0, link: str = "4, 16") -> Path:
    """Put it into `folder`, to be found there by PATH; `link` is what it says of PCI Express."""
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    told = "".join(f"{line}\n" for line in lines)
    linked = f"case $* in *pcie*) echo '{link}'; exit;; esac"
    program.write_text(f"#!/bin/sh\n{linked}\ncat <<'END'\n{told}END\nexit {code}\n")
    program.chmod(0o755)
    return folder
