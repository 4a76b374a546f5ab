"""Write whatever weights people have, a transformer and its parts, a Gemma or a LoRA, as these pipelines read them."""

import argparse
import importlib.util
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from ltx_core.text_encoders.gemma.quantized import GemmaQuantizationError
from ltx_core.weight_files.conversion import Scope, convert_model
from ltx_core.weight_files.errors import WeightFileError
from ltx_core.weight_files.gemma import TARGETS, convert_gemma, is_gemma
from ltx_core.weight_files.lora_conversion import convert_lora, is_lora_file
from ltx_core.weight_files.plan import Target

_TAKES_PARTS = importlib.util.find_spec("ltx_pipelines.utils.model_paths") is not None
"""Whether these pipelines take a file a part, as upstream does from 1.2.0 on."""


def main() -> None:
    """Convert what the command line names. Ends with 0, or one sentence and the error's exit code."""
    parser = argparse.ArgumentParser(prog="python -m ltx_pipelines.convert", description=__doc__)
    parser.add_argument(
        "inputs",
        metavar="IN",
        type=Path,
        nargs="+",
        help="A file or folder of weights; of a part that several hold, the first is taken.",
    )
    parser.add_argument("--output", type=Path, required=True, help="The file to make; it must not exist yet.")
    parser.add_argument(
        "--to",
        choices=list(dict.fromkeys((*(target.value for target in Target), *TARGETS))),
        required=True,
        help="What the linear layers of the transformer's blocks or of a Gemma become; a LoRA is always bf16.",
    )
    parser.add_argument(
        "--for",
        dest="reader",
        choices=("upstream", "comfy"),
        default="upstream",
        help="Who reads it: for ComfyUI the transformer and its connectors alone are written.",
    )
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        if is_gemma(args.inputs[0]):
            _require(parser, args.to, TARGETS, "a Gemma")
            report = _converted_gemma(args.inputs, args.output, args.to)
        else:
            _require(parser, args.to, [target.value for target in Target], "a transformer")
            report = _converted(args.inputs, args.output, Target(args.to), _scope(args.reader))
    except (WeightFileError, GemmaQuantizationError) as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
    sys.stdout.write(report)


def _scope(reader: str) -> Scope:
    if reader == "comfy":
        return Scope.TRANSFORMER
    return Scope.GIVEN if _TAKES_PARTS else Scope.ONE_FILE


def _require(parser: argparse.ArgumentParser, to: str, offered: Iterable[str], what: str) -> None:
    if to not in offered:
        parser.error(f"--to {to} is not for {what}; give {' or '.join(offered)}")


def _converted_gemma(inputs: Sequence[Path], output: Path, to: str) -> str:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    done = convert_gemma(inputs, output, to, device)
    return f"{done.output}: Gemma, {to}, {done.bytes_after / 1024**3:.2f} GiB in {done.shards} file(s)\n"


def _converted(inputs: Sequence[Path], output: Path, target: Target, scope: Scope) -> str:
    if any(is_lora_file(path) for path in inputs):
        lora = convert_lora(inputs, output, target)
        left_out = f", {lora.left_out} tensor(s) left out" if lora.left_out else ""
        return f"{lora.output}: a LoRA that changes {lora.modules} layer(s){left_out}\n"
    done = convert_model(inputs, output, target, scope)
    parts = "".join(f"  {part.value}: {path}\n" for part, path in done.parts.items())
    lacking = ", ".join(part.value for part in done.missing)
    more = f"  not in it: {lacking}\n" if lacking else ""
    return f"{done.output}: {target.value}, {done.bytes / 1024**3:.2f} GiB\n{parts}{more}"


if __name__ == "__main__":
    main()
