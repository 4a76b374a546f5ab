"""The tensors that a planned weight is written as."""

import math
from collections.abc import Iterator

import torch

from ltx_core.int8.rows import Rows
from ltx_core.int8.weights import quantized
from ltx_core.weight_files.errors import UnreadableFile, WeightFileError
from ltx_core.weight_files.markers import render_marker
from ltx_core.weight_files.output_file import Entry
from ltx_core.weight_files.plan import Planned, Treatment

_FP8_LIMIT = torch.finfo(torch.float8_e4m3fn).max


def made(planned: Planned) -> Iterator[tuple[Entry, torch.Tensor]]:
    """Yield each entry of a planned weight with its tensor, on the CPU.

    Raises: UnreadableFile for values that are not finite, WeightFileError for those that fp8 cannot hold.
    """
    if planned.marker is not None:
        yield from zip(planned.entries, _int8(planned), strict=True)
        return
    (entry,) = planned.entries
    values = planned.weight.read()
    yield entry, values if planned.treatment is Treatment.KEEP else _cast(values, entry)


def _int8(planned: Planned) -> tuple[torch.Tensor, ...]:
    assert planned.marker is not None
    if planned.treatment is Treatment.PASS_CODES:
        codes, scales, _ = planned.weight.codes()
        rows = Rows(codes, scales)
    else:
        rows = quantized(planned.weight.read(), planned.marker.group_size)
    _largest(rows.scales, planned.entries[0])
    marker = torch.tensor(list(render_marker(planned.marker)), dtype=torch.uint8)
    return rows.codes, rows.scales.unsqueeze(1), marker


def _cast(values: torch.Tensor, entry: Entry) -> torch.Tensor:
    values = values.to(torch.float32) if values.dtype.itemsize == 1 else values  # fp8 has no comparisons
    largest = _largest(values, entry)
    # fp8 has no infinities: what is too large becomes the largest or no number, by the release of torch.
    if entry.dtype is torch.float8_e4m3fn and largest > _FP8_LIMIT:
        raise WeightFileError(f"{entry.name} holds values up to {largest:g}, and fp8 ends at 448", "give --to int8")
    return values.to(entry.dtype)


def _largest(values: torch.Tensor, entry: Entry) -> float:
    """The largest magnitude. Raises: UnreadableFile where one is not finite."""
    if not values.numel():
        return 0.0
    low, high = (end.item() for end in values.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnreadableFile(f"{entry.name} holds values that are not finite", "download the file again")
    return max(-low, high)
