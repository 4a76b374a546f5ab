"""A transformer of any layout, with the parts that are given beside it, written as upstream's checkpoint."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch

from ltx_core.loader.lora_names import kinds
from ltx_core.weight_files.errors import IncompleteModel
from ltx_core.weight_files.making import made
from ltx_core.weight_files.model_parts import Part
from ltx_core.weight_files.opening import open_weights
from ltx_core.weight_files.output_file import Entry, new_file, require_place
from ltx_core.weight_files.plan import Planned, Target, plan_weight
from ltx_core.weight_files.sources import (
    Source,
    checkpoint_metadata,
    first_of_parts,
    layers_of,
    require_blocks,
    source_of,
)

logger: logging.Logger = logging.getLogger(__name__)

_IN_ONE_FILE = (
    *(Part.TRANSFORMER, Part.CONNECTORS, Part.PROJECTION),
    *(Part.VIDEO_VAE, Part.AUDIO_VAE, Part.VOCODER),
)
_FOR_COMFYUI = (Part.TRANSFORMER, Part.CONNECTORS)
_TENTHS = 10  # how often the log says how far a conversion is


class Scope(Enum):
    """Which parts are written, and which have to be there."""

    ONE_FILE = "one file"  # all that are given, and none that a checkpoint in one file has may lack
    GIVEN = "given"  # all that are given; the transformer has to be
    TRANSFORMER = "transformer"  # the transformer and its connectors alone, as files for ComfyUI hold them


@dataclass(frozen=True)
class Conversion:
    """What a finished conversion has written."""

    output: Path
    parts: Mapping[Part, Path]  # each part, and which input it was taken from
    missing: tuple[Part, ...]  # what a checkpoint in one file has besides
    bytes: int  # of the output's tensors


def convert_model(inputs: Sequence[Path], output: Path, target: Target, scope: Scope) -> Conversion:
    """Write `output`, which appears complete or not at all; one tensor is in memory at a time.

    Each part is taken from the first of `inputs` that has it. What headers tell is checked before work begins.
    Raises: UnreadableFile, IncompleteModel, UnwritableOutput, WeightFileError.
    """
    require_place(output)
    with ExitStack() as files:
        sources = [source_of(path, files.enter_context(open_weights(path))) for path in inputs]
        of_part = first_of_parts(sources)
        if scope is Scope.TRANSFORMER:
            of_part = {part: source for part, source in of_part.items() if part in _FOR_COMFYUI}
        missing = tuple(part for part in _IN_ONE_FILE if part not in of_part)
        _require_parts(sources, missing, scope)
        metadata = checkpoint_metadata(sources, of_part)
        require_blocks(of_part[Part.TRANSFORMER], layers_of(metadata))
        planned = [
            plan_weight(weight, name, target)
            for part, source in of_part.items()
            for name, weight in source.by_part[part].items()
        ]
        for source in sources:
            if source.left_out:
                logger.warning(f"{source.path}: left out, being no part of an LTX-2: {kinds(source.left_out)}")
        written = _write(planned, output, metadata)
    return Conversion(output, {part: source.path for part, source in of_part.items()}, missing, written)


def _require_parts(sources: Sequence[Source], missing: Sequence[Part], scope: Scope) -> None:
    named = ", ".join(str(source.path) for source in sources)
    if Part.TRANSFORMER in missing:
        raise IncompleteModel(f"there is no transformer in {named}", "give the file that holds it")
    if scope is Scope.ONE_FILE and missing:
        lacking = ", ".join(part.value for part in missing)
        raise IncompleteModel(
            f"what a checkpoint in one file has is not all in {named}: {lacking}", "give the files that hold it as well"
        )


def _write(planned: Sequence[Planned], output: Path, metadata: Mapping[str, str]) -> int:
    entries = [entry for weight in planned for entry in weight.entries]
    total = sum(entry.nbytes for entry in entries)
    with new_file(output, entries, {"format": "pt", **metadata}) as file:
        for entry, tensor in _logged(planned, total):
            file.write(entry, tensor)
    return total


def _logged(planned: Sequence[Planned], total: int) -> Iterator[tuple[Entry, torch.Tensor]]:
    """Each tensor as it is to be written; ten times the log says how far that is."""
    done = said = 0
    for weight in planned:
        for entry, tensor in made(weight):
            yield entry, tensor
            done += entry.nbytes
        if (tenth := done * _TENTHS // max(total, 1)) > said:
            said = tenth
            logger.info(f"{100 * done // total} % of {total / 1024**3:.2f} GiB")
