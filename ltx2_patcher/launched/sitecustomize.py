"""A launched script does not show what libraries log that reads like a failure and is none, nor,
with LTX2_HIDES_PROMPTS among its variables, the prompts that it writes out.

Python imports a module of this name by itself at its start (the docs of `site`). Each line was
looked up in the library that has it; every other one passes, and no stream is touched, so that a
terminal stays one. A sitecustomize that this one stands before is run as well.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_SLOW = "Using a slow image processor as `use_fast` is unset"
_IDLE = {
    # transformers 4: the processor works; another one will be the default some day.
    "transformers.models.auto.image_processing_auto": _SLOW,
    "transformers.processing_utils": _SLOW,
    # Asked for on CPUs with AVX-512 for bf16: without that kernel, bitsandbytes takes its own.
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward from kernels-community",
}
"""Logger -> the beginning of a line of its."""


class _Without(logging.Filter):
    """Keeps back the lines that begin so."""

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._beginning)


def _run_next() -> None:
    """Run the sitecustomize that Python would have found without this folder."""
    here = str(Path(__file__).parent)
    sys.path[:] = [folder for folder in sys.path if folder != here]
    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


for _logger, _line in _IDLE.items():
    logging.getLogger(_logger).addFilter(_Without(_line))
if "LTX2_HIDES_PROMPTS" in os.environ:
    logging.getLogger().addFilter(_Without("Enhanced prompt: "))  # ltx_pipelines.utils.helpers
if __name__ == "sitecustomize":
    _run_next()
