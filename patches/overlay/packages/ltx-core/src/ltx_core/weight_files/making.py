"""The tensors that a planned weight is written as."""

from collections.abc import Iterator

import torch

from ltx_core.int8.rows import Rows, quantize_rows
from ltx_core.weight_files.errors import UnreadableFile, WeightFileError
from ltx_core.weight_files.markers import render_marker
from ltx_core.weight_files.output_file import Entry
from ltx_core.weight_files.plan import Planned, Treatment


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
        rows = quantize_rows(planned.weight.read(), group=planned.marker.group_size)
    _require_finite(rows.scales, planned.entries[0])
    marker = torch.tensor(list(render_marker(planned.marker)), dtype=torch.uint8)
    return rows.codes, rows.scales.unsqueeze(1), marker


def _cast(values: torch.Tensor, entry: Entry) -> torch.Tensor:
    cast = values.to(entry.dtype)
    largest = torch.finfo(entry.dtype).max
    # fp8 has no infinities: what is too large becomes no number.
    if not torch.isfinite(cast.to(torch.float32)).all():
        _require_finite(values.to(torch.float32), entry)
        raise WeightFileError(f"{entry.name} holds values beyond the {largest:g} of fp8", "convert to int8 or bf16")
    return cast


def _require_finite(values: torch.Tensor, entry: Entry) -> None:
    if not torch.isfinite(values).all():
        raise UnreadableFile(f"{entry.name} holds values that are not finite", "download the file again")
