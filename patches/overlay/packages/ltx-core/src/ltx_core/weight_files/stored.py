"""The tensors of safetensors files, as they lie there."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import safetensors
import torch

from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.header import StoredTensor, read_header


class StoredTensors:
    """The tensors of one file or of the shards of one model, by name; files are mapped until the context ends."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the headers. Raises: UnreadableFile."""
        self.metadata: dict[str, str] = {}
        self._tensors: dict[str, StoredTensor] = {}
        self._files = ExitStack()
        self._open: dict[Path, safetensors.safe_open] = {}
        for file in files:
            header = read_header(file)
            self.metadata = {**header.metadata, **self.metadata}
            for tensor in header.tensors:
                if (other := self._tensors.setdefault(tensor.name, tensor)) is not tensor:
                    raise UnreadableFile(
                        f"{tensor.name} is in both {other.file} and {file}",
                        "remove the shards that do not belong to the model",
                    )

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """What the headers say of each."""
        return self._tensors

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor, not to be written to: its file is mapped. Raises: UnreadableFile."""
        file = self._tensors[name].file
        try:
            if file not in self._open:
                self._open[file] = self._files.enter_context(safetensors.safe_open(file, framework="pt", device="cpu"))
            return self._open[file].get_tensor(name)
        except (OSError, safetensors.SafetensorError) as error:
            raise UnreadableFile(f"{name} of {file} cannot be read ({error})", "download this file again") from error

    def __enter__(self) -> "StoredTensors":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.clear()
        self._files.close()
