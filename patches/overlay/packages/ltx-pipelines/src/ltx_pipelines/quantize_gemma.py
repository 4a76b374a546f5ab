"""Write a Gemma root quantized, so that later starts read about 7.8 GiB (4 bits) or 12.7 GiB (8 bits), not 22.7."""

import argparse
import logging
import sys
from pathlib import Path

import torch

from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import METHODS
from ltx_pipelines.utils.gemma_flags import report_in_one_sentence


def main() -> None:
    """Convert the root that the command line names. Ends with 0, or one sentence and the error's exit code."""
    parser = argparse.ArgumentParser(prog="python -m ltx_pipelines.quantize_gemma", description=__doc__)
    parser.add_argument(
        "--gemma-root", type=Path, required=True, help="The float32, float16 or bfloat16 Gemma root to read."
    )
    parser.add_argument("--output", type=Path, required=True, help="The folder to make; it must not exist yet.")
    flags = parser.add_mutually_exclusive_group(required=True)
    for method in METHODS:
        if method.flag is not None:
            name = method.flag.name.replace("gemma-", "")
            flags.add_argument(name, dest="method", action="store_const", const=method, help=method.flag.summary)
    report_in_one_sentence(parser)
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.INFO)
    logging.basicConfig(format="%(message)s")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    conversion = convert_root(args.gemma_root, args.output, args.method, device)
    sys.stdout.write(
        f"{conversion.output}: {conversion.shards} shard(s), {conversion.bytes_after / 1024**3:.2f} GiB "
        f"of {conversion.bytes_before / 1024**3:.2f}; give it as --gemma-root, no flag needed\n"
    )


if __name__ == "__main__":
    main()
