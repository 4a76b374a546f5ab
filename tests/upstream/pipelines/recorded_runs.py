"""Runs of the two-stage script with everything at once, and what was recorded of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.stage_record.events import Event, Noised, Passed, Stepped, of_kind, read_events
from verify.synthetic.files import FileSet
from verify.upstream.command_line import Gemma
from verify.upstream.process import Finished, Pipelines

SEED, STRENGTH, BLOCK = 7, 0.75, 1
GUIDED = ("--video-stg-blocks", str(BLOCK), "--audio-stg-blocks", str(BLOCK))
MEAN, DEVIATION = (f"vae.per_channel_statistics.{of}-of-means" for of in ("mean", "std"))
PASSES = ("plain", "negative", "perturbed", "isolated")  # of a guided step, in order


@dataclass(frozen=True)
class Run:
    """One run of the script that went well."""

    files: FileSet
    image: Path
    events: Sequence[Event]

    def noised(self, stage: int, modality: str) -> Noised:
        """The state that a stage starts from; upstream makes the video's before the audio's."""
        return of_kind(self.events, Noised)[(stage - 1) * 2 + ("video", "audio").index(modality)]

    def passes(self, stage: int) -> list[Passed]:
        """Those of a stage's transformer."""
        return [passed for passed in of_kind(self.events, Passed) if passed.stage == stage]

    def steps(self, stage: int, modality: str) -> list[Stepped]:
        """The two stages have as many tokens of sound, and another schedule."""
        shape = self.noised(stage, modality).noised.shape
        sigma = self.passes(stage)[0].sigma
        return [
            step
            for step in of_kind(self.events, Stepped)
            if step.sample.shape == shape and float(step.sigmas[0]) == sigma
        ]


def record(
    pipelines: Pipelines,
    files: FileSet,
    image: Path,
    out: Path,
    *options: str,
    variant: str = "2.3",
) -> tuple[Finished, list[Event]]:
    """Run it with a quantized Gemma, fp8-cast, a LoRA and an image; `out` is a new folder."""
    case = Case("ti2vid_two_stages", Mode.I2V, Gemma.FLAG_4BIT, variant, seed=SEED)
    clip = out.with_suffix(".mp4")
    argv = command_line(case, files, files.text_encoder, image, clip, tree=pipelines.tree)
    argv.insert(argv.index("--distilled-lora") + 2, str(STRENGTH))
    argv += ["--quantization", "fp8-cast", *options]
    done = pipelines.run("tests.upstream.stage_record.__main__", [str(out), case.module, *argv])
    return done, read_events(out)


def tokens(latent: torch.Tensor) -> torch.Tensor:
    """(batch, channel, frame, row, column) as (batch, token, channel), a token a position."""
    return latent.flatten(2).transpose(1, 2)
