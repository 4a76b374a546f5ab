"""Where the files of a file set lie, and which file holds which tensor."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from verify.upstream import command_line as flags


class Layout(Enum):
    """How the models of a file set are spread over files."""

    MONOLITH = "monolith"  # one checkpoint beside a Gemma root
    SPLIT = "split"  # a file a component, as LTX-2.5 is published


class Part(Enum):
    """What of a file set can be made by itself."""

    CHECKPOINT = "checkpoint"  # in a split set, the file of each component but Gemma's
    GEMMA = "gemma"
    LORA = "lora"
    UPSAMPLER = "upsampler"


@dataclass(frozen=True, slots=True)
class FileSet:
    """What a pipeline of upstream takes, under one folder.

    In a monolith, each component's file is the checkpoint.
    """

    root: Path
    layout: Layout = Layout.MONOLITH

    @property
    def checkpoint(self) -> Path:
        """Transformer, VAEs, vocoder, connectors; it serves as the distilled checkpoint too."""
        return self.root / "checkpoint.safetensors"

    @property
    def transformer(self) -> Path:
        """The transformer and the connectors."""
        return self._component("transformer")

    @property
    def video_vae(self) -> Path:
        """Encoder and decoder of pictures."""
        return self._component("video_vae")

    @property
    def audio_vae(self) -> Path:
        """Encoder and decoder of sound, and the vocoder."""
        return self._component("audio_vae")

    @property
    def duration_head(self) -> Path:
        """What LTX-2.5 tells a clip's length by; no other variant has it."""
        return self._component("duration_head")

    @property
    def text_encoder(self) -> Path:
        """Gemma: a root, or in a split set one packed file with the text projection."""
        split = self.layout is Layout.SPLIT
        return self._component("text_encoder") if split else self.gemma_root

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
        """The text encoder of a monolith: shards, config, tokenizer, processor."""
        return self.root / "gemma"

    def _component(self, name: str) -> Path:
        split = self.layout is Layout.SPLIT
        return self.root / f"{name}.safetensors" if split else self.checkpoint


def named_models(files: FileSet) -> dict[str, Path]:
    """Those of its files that are there, by the flags of upstream's scripts that name them.

    One checkpoint serves every script.
    """
    if files.layout is Layout.MONOLITH:
        named = {
            flags.DISTILLED_CHECKPOINT: files.checkpoint,
            flags.CHECKPOINT: files.checkpoint,
            flags.GEMMA: files.gemma_root,
        }
    else:
        named = {
            flags.TRANSFORMER: files.transformer,
            flags.TEXT_ENCODER: files.text_encoder,
            flags.VIDEO_VAE: files.video_vae,
            flags.AUDIO_VAE: files.audio_vae,
            flags.DURATION_HEAD: files.duration_head,
        }
    named |= {flags.UPSAMPLER: files.spatial_upsampler, flags.LORA: files.distilled_lora}
    return {flag: path for flag, path in named.items() if path.exists()}


def file_set(root: Path) -> FileSet:
    """The file set at `root`, with the layout that its files have."""
    monolith = FileSet(root)
    return monolith if monolith.checkpoint.is_file() else FileSet(root, Layout.SPLIT)
