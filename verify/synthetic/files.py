"""Where the files of a file set lie."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileSet:
    """What a pipeline of upstream takes, under one folder."""

    root: Path

    @property
    def checkpoint(self) -> Path:
        """Transformer, VAEs, vocoder, connectors; it serves as the distilled checkpoint too."""
        return self.root / "checkpoint.safetensors"

    @property
    def spatial_upsampler(self) -> Path:
        """The latent upsampler of two-stage pipelines."""
        return self.root / "spatial_upsampler.safetensors"

    @property
    def distilled_lora(self) -> Path:
        """The LoRA of the second stage."""
        return self.root / "distilled_lora.safetensors"

    @property
    def gemma_root(self) -> Path:
        """The text encoder: shards, config, tokenizer, processor."""
        return self.root / "gemma"
