"""What a file to be made holds, and making it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from verify.synthetic import tensorfile
from verify.synthetic.files import Part
from verify.synthetic.progress import Progress
from verify.synthetic.tensorfile import Kind
from verify.synthetic.weights import Drawn, Given

Content = Drawn | Given


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A safetensors file that is to be."""

    path: Path  # below the file set's root
    part: Part
    contents: Mapping[str, Content]  # by name in the file, in its order
    metadata: Mapping[str, str]

    @property
    def kinds(self) -> dict[str, Kind]:
        """What its header says of each tensor."""
        return {name: content.kind for name, content in self.contents.items()}

    @property
    def nbytes(self) -> int:
        """What it takes on a disk."""
        return tensorfile.file_bytes(self.kinds, self.metadata)

    def lay_out(self, root: Path) -> None:
        """Below `root` it is a new file whose drawn tensors are zero; all else is there.

        Raises: OSError.
        """
        path = root / self.path
        path.parent.mkdir(exist_ok=True)
        tensorfile.lay_out(path, self.kinds, self.metadata)
        starts = tensorfile.starts(self.kinds, self.metadata)
        given = (
            (starts[name], content.tensor)
            for name, content in self.contents.items()
            if isinstance(content, Given)
        )
        tensorfile.fill(path, given, lambda _: None)

    def fill(self, root: Path, *, seed: int, device: str, progress: Progress) -> None:
        """It is whole, where it was laid out; a few pieces of a tensor are in memory at a time.

        Raises: OutsideError (the GPU), OSError.
        """
        drawn = {n: c for n, c in self.contents.items() if isinstance(c, Drawn)}
        starts = tensorfile.starts(self.kinds, self.metadata)

        def pieces() -> Iterator[tuple[int, torch.Tensor]]:
            for name, content in drawn.items():
                start = starts[name]
                for piece in content.pieces(seed, device):
                    yield start, piece
                    start += piece.nbytes

        with progress(self.path.name, sum(c.kind.nbytes for c in drawn.values())) as wrote:
            tensorfile.fill(root / self.path, pieces(), wrote)


@dataclass(frozen=True, slots=True)
class Texts:
    """The files that are to be and hold no tensors."""

    by_path: Mapping[Path, str]  # below the file set's root

    @property
    def nbytes(self) -> int:
        """What they take on a disk."""
        return sum(len(text.encode()) for text in self.by_path.values())

    def write(self, root: Path) -> None:
        """They lie below `root`. Raises: OSError."""
        for path, text in self.by_path.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
