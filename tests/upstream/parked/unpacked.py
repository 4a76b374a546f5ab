"""Run a script with 4-bit weights that stay as they are, as parked ones do.

On CPUs with AVX512-BF16 bitsandbytes packs them anew in place at their first use, for kernels that
round otherwise.
"""

import importlib
import sys

from bitsandbytes.nn import modules


def main() -> object:
    """As `python -m SCRIPT ARGUMENTS`: both stand in sys.argv."""
    _, module, *argv = sys.argv
    packs, modules.has_avx512bf16 = modules.has_avx512bf16, lambda: False
    try:
        script = importlib.import_module(module)
        sys.argv = [str(script.__file__), *argv]
        return script.main()
    finally:
        modules.has_avx512bf16 = packs
