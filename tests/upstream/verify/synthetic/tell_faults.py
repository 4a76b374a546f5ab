"""What upstream's builders lack in a file set, and what they leave, a line each.

Run by `verify.upstream.process`, which lends unpatched upstream the Gemma that is named.
"""

import argparse
from pathlib import Path

from verify.synthetic.completeness import faults, place_all, tensor_names
from verify.synthetic.files import FileSet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gemma-root")
    parser.add_argument("--files", type=Path)
    files = FileSet(parser.parse_args().files)
    for fault in faults(place_all(files), tensor_names(files.root.glob("*.safetensors"))):
        print(fault)
