"""Run a script where quantizing Gemma or fusing a LoRA ends it: a copy has what comes of them."""

import importlib
import sys

from ltx_core.parked import loading
from ltx_core.text_encoders.gemma.quantized import loader


def refuse(*_: object, **__: object) -> object:
    raise AssertionError("this process makes weights anew")


def main() -> object:
    """As `python -m SCRIPT ARGUMENTS`: both stand in sys.argv."""
    _, module, *argv = sys.argv
    before = loading.apply_loras, loader.loaded_parts
    loading.apply_loras = loader.loaded_parts = refuse
    try:
        script = importlib.import_module(module)
        sys.argv = [str(script.__file__), *argv]
        return script.main()
    finally:
        loading.apply_loras, loader.loaded_parts = before
