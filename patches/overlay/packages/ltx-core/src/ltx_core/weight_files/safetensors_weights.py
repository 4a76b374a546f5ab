"""The weights of safetensors files: ComfyUI's in any of its layouts, upstream's own, and plain ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import torch

from ltx_core.weight_files.dequantization import int8_values, mxfp8_values, nvfp4_values, scaled_values
from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.layouts import Held, held_weights
from ltx_core.weight_files.markers import HEADER_KEY, MARKER, Marker, MarkerError, header_markers, parse_marker
from ltx_core.weight_files.stored import StoredTensors
from ltx_core.weight_files.weights import INT8_LAYOUTS, Int8Codes, Layout, Weight


class SafetensorsWeights:
    """The weights of one file, or of the shards of one model, under the names they have there."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read headers and markers. Raises: UnreadableFile."""
        self._stored = StoredTensors(files)
        self._held = tuple(held_weights(self._stored.tensors, self._markers()))

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the headers say beside their tensors, without what they say of layouts."""
        return {key: value for key, value in self._stored.metadata.items() if key != HEADER_KEY}

    def __iter__(self) -> Iterator[Weight]:
        for held in self._held:
            values, codes = self._readers(held)
            yield Weight(held.name, held.shape, held.layout, held.parts[0].dtype, values, codes, held.group_size)

    def __enter__(self) -> "SafetensorsWeights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stored.__exit__(kind, error, trace)

    def _markers(self) -> dict[str, Marker]:
        said: dict[str, Marker] = {}
        try:
            said.update(header_markers(self._stored.metadata))
        except MarkerError:
            raise self._unreadable(HEADER_KEY) from None
        for name in self._stored.tensors:
            if name.endswith(MARKER):
                try:
                    said[name.removesuffix(MARKER)] = parse_marker(self._stored.read(name).numpy().tobytes())
                except MarkerError:
                    raise self._unreadable(name) from None
        return said

    def _unreadable(self, name: str) -> UnreadableFile:
        file = next(iter(self._stored.tensors.values())).file
        return UnreadableFile(f"what {name} of {file} says of layouts cannot be read", "download the file again")

    def _readers(self, held: Held) -> tuple[Callable[[], torch.Tensor], Callable[[], Int8Codes] | None]:
        def parts() -> list[torch.Tensor]:
            return [self._stored.read(part.name) for part in held.parts]

        def codes() -> Int8Codes:
            stored, scales = parts()
            rows = scales.to(torch.float32).flatten().expand(stored.shape[0])
            return Int8Codes(stored, rows, held.group_size)

        if held.layout in INT8_LAYOUTS:
            return lambda: int8_values(codes()), codes
        values = _VALUES[held.layout]
        return lambda: values(*parts()), None


def _mxfp8(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return mxfp8_values(codes, scales.view(torch.uint8))


_VALUES: dict[Layout, Callable[..., torch.Tensor]] = {
    Layout.PLAIN: lambda values: values,
    Layout.FP8_SCALED: scaled_values,
    Layout.MXFP8: _mxfp8,
    Layout.NVFP4: nvfp4_values,
}
