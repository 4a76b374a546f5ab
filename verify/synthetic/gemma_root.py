"""A Gemma as upstream takes it: a root that transformers opens too, or that root in one file."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from verify.synthetic import tensorfile
from verify.synthetic.architecture import GemmaSize, gemma_config
from verify.synthetic.contents import Content, PlannedFile, Texts
from verify.synthetic.files import Part
from verify.synthetic.language import language_files
from verify.synthetic.parts import gemma_shapes
from verify.synthetic.progress import silent
from verify.synthetic.staging import require_space
from verify.synthetic.tensorfile import Kind, Kinds, Shapes
from verify.synthetic.weights import Drawn, Given

GEMMA_DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


@dataclass(frozen=True, slots=True)
class GemmaStorage:
    """How a Gemma root is stored."""

    dtype: torch.dtype = torch.bfloat16
    shards: int = 2


@dataclass(frozen=True, slots=True)
class PlannedRoot:
    """A Gemma root that is to be."""

    shapes: Shapes
    shards: tuple[PlannedFile, ...]
    texts: Texts

    @property
    def nbytes(self) -> int:
        """What it takes on a disk."""
        return self.texts.nbytes + sum(shard.nbytes for shard in self.shards)

    def sketch(self, root: Path) -> None:
        """Below `root` it is small: each tensor holds its own name, in place of weights.

        What reads sizes there, or names, reads the same. Raises: OSError.
        """
        self.texts.write(root)
        for shard in self.shards:
            named = {key: Given(_as_tensor(key)) for key in shard.contents}
            replace(shard, contents=named).lay_out(root)


def plan_gemma_root(folder: Path, size: GemmaSize, storage: GemmaStorage) -> PlannedRoot:
    """A Gemma of `size` that upstream and transformers both open, in `folder`, a relative path."""
    config = gemma_config(size)
    shapes = gemma_shapes(size.family, config)
    kinds = {name: Kind(shape, storage.dtype) for name, shape in shapes.items()}
    shards = tuple(
        PlannedFile(
            folder / name,
            Part.GEMMA,
            {key: Drawn(key, kind) for key, kind in part.items()},
            {"format": "pt"},
        )
        for name, part in _split(kinds, storage.shards).items()
    )
    texts = language_files(size.family, config)
    stated = {"torch_dtype": str(storage.dtype).removeprefix("torch.")}
    texts["config.json"] = json.dumps(config | stated, indent=2) + "\n"
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": tensorfile.bytes_of(kinds)},
            "weight_map": {key: shard.path.name for shard in shards for key in shard.contents},
        }
        texts["model.safetensors.index.json"] = json.dumps(index, indent=2) + "\n"
    return PlannedRoot(shapes, shards, Texts({folder / name: text for name, text in texts.items()}))


def write_gemma_root(
    root: Path, size: GemmaSize, storage: GemmaStorage, *, seed: int, device: str = "cpu"
) -> None:
    """A new folder `root` holds such a Gemma.

    Raises: OutsideError (space, the GPU), OSError.
    """
    planned = plan_gemma_root(Path(root.name), size, storage)
    require_space(root, planned.nbytes)
    root.mkdir()
    planned.texts.write(root.parent)
    for shard in planned.shards:
        shard.lay_out(root.parent)
        shard.fill(root.parent, seed=seed, device=device, progress=silent)


def packed(root: PlannedRoot, path: Path, projection: Mapping[str, Content]) -> PlannedFile:
    """The file `path` that holds all that `root` does, as upstream packs it, and `projection`.

    Upstream packs a root on a disk, weight by weight. It is given a sketch, whose tensors' names
    say what it makes of which.
    """
    from ltx_core.text_encoders.gemma import gemma_assets

    contents = {key: content for shard in root.shards for key, content in shard.contents.items()}
    contents |= projection
    with tempfile.TemporaryDirectory() as scratch:
        root.sketch(Path(scratch))
        # Upstream's own writer orders its metadata by a random hash.
        tensors, metadata = gemma_assets.build_text_encoder_tensors_from_gemma_root(
            str(Path(scratch) / root.shards[0].path.parent),
            {key: _as_tensor(key) for key in projection},
        )
        packed_contents = {
            key: contents.get(_as_text(tensor)) or Given(tensor) for key, tensor in tensors.items()
        }
    return PlannedFile(path, Part.GEMMA, packed_contents, metadata)


def _as_tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _as_text(tensor: torch.Tensor) -> str:
    return tensor.numpy().tobytes().decode(errors="replace")


def _split(kinds: Kinds, shards: int) -> dict[str, Kinds]:
    """`kinds` in order over `shards` files of about the same bytes, named as transformers does.

    Fewer files where one tensor fills the room of several.
    """
    if shards == 1:
        return {"model.safetensors": kinds}
    total, so_far = tensorfile.bytes_of(kinds), 0
    parts: list[dict[str, Kind]] = [{} for _ in range(shards)]
    for name, kind in kinds.items():
        parts[min(so_far * shards // total, shards - 1)][name] = kind
        so_far += kind.nbytes
    filled = [part for part in parts if part]
    names = [f"model-{i:05}-of-{len(filled):05}.safetensors" for i in range(1, len(filled) + 1)]
    return dict(zip(names, filled, strict=True))
