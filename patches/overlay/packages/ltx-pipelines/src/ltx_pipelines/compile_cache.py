"""Where what torch.compile makes is kept, so that the next process starts with it."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import torch

from ltx_core.parked.identity import digest, of_program
from ltx_core.parked.shelves import cache_folder

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"  # torch reads it when it compiles for the first time
_UNUSED_S = 30 * 86_400.0  # after which what another torch, card or series compiled is removed
_OF_ATTENTION = ("_backend_from_string", "_cur_sdpa_kernel_backends", "_sdpa_kernel")
"""What stands for `torch.nn.attention.sdpa_kernel` in a graph: it decides by its arguments, which the graph holds."""


def keep_compiled(device: torch.device) -> Path:
    """Let torch find what a process like this one compiled, and keep what this one compiles; return the folder.

    Like: of the same torch, Triton and code, for the same card and CUDA. Of any other it finds nothing, and compiles
    anew. A folder that somebody has named to torch stays the one.
    """
    _keep_graphs_of_attention()
    if (named := os.environ.get(_VARIABLE)) and not _is_torchs_own(Path(named)):
        return Path(named)
    folder = cache_folder().parent / "compiled" / digest((of_program(device), torch.version.cuda))[:32]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)
        _remove_unused(folder.parent)
    except OSError:  # a cache is no reason to end: torch has a folder of its own
        return folder
    os.environ[_VARIABLE] = str(folder)
    return folder


def _keep_graphs_of_attention() -> None:
    """Let torch keep what it lowers a graph with attention to, which it refuses for calls that it does not know.

    Without it each process lowers the block of a transformer anew: 4 of 11 s of a start.
    """
    from torch._inductor import config  # noqa: PLC0415 - only what compiles needs it

    if hasattr(config, "unsafe_marked_cacheable_functions"):  # from torch 2.8 on
        marked = {f"torch.nn.attention.{name}": torch.__version__ for name in _OF_ATTENTION}
        config.unsafe_marked_cacheable_functions.update(marked)


def _is_torchs_own(folder: Path) -> bool:
    """Whether torch named it, as it does when parts of it are imported."""
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("torchinductor_")


def _remove_unused(root: Path) -> None:
    before = time.time() - _UNUSED_S
    for other in root.iterdir():
        if other.stat().st_mtime < before:
            shutil.rmtree(other, ignore_errors=True)
