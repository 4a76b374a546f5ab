"""What a picture is made of while it forms: of each denoising step the latents of one frame, in a file of its own."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ltx_core.tools import LatentTools, VideoLatentTools
from ltx_core.types import LatentState

logger = logging.getLogger(__name__)

Blend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Frame:
    """Latents of one frame, (channels, rows, columns) in float16, in host memory once the card has got there."""

    values: torch.Tensor
    place: Path

    def write(self) -> str | None:
        """Return the .npy file that holds them, whole as soon as it is there; None where it can't be written."""
        unfinished = self.place.with_suffix(".tmp")
        try:
            with unfinished.open("wb") as file:
                np.save(file, self.values.numpy())
            unfinished.replace(self.place)
        except OSError as error:
            logger.warning(f"no latents in {self.place}: {error}")
            return None
        return os.fspath(self.place)


class Latents:
    """Takes, of each step of one run, the denoised middle frame of the video: x0, conditioned as the sampler has it.

    Upstream's `create_noised_state` and `post_process_latent` are to be called through it: the first tells which
    tokens are the video's, the second is given x0 first in each step of every sampler.
    """

    def __init__(self, folder: Path) -> None:
        """Their files go to `folder`, numbered from 1."""
        self._folder = folder
        self._number = 0
        self._tools: VideoLatentTools | None = None
        self._mask: torch.Tensor | None = None
        self._values: torch.Tensor | None = None

    def noting_the_video(self, create: Callable[..., LatentState]) -> Callable[..., LatentState]:
        """Return upstream's `create_noised_state`, which begins a stage of a modality."""

        def create_and_note(tools: LatentTools, *args: object, **options: object) -> LatentState:
            state = create(tools, *args, **options)
            if isinstance(tools, VideoLatentTools):
                self._tools, self._mask, self._values = tools, state.denoise_mask, None
            return state

        return create_and_note

    def taking_the_first(self, blend: Blend) -> Blend:
        """Return upstream's `post_process_latent`, of which a sampler may call others in the same step."""

        def blend_and_take(denoised: torch.Tensor, denoise_mask: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
            blended = blend(denoised, denoise_mask, clean)
            if denoise_mask is self._mask and self._values is None:
                self._values = _on_host(_middle_frame(blended, self._tools))
            return blended

        return blend_and_take

    def taken(self) -> Frame | None:
        """Return what was taken in the step that is over; None of a step without video."""
        values, self._values = self._values, None
        if values is None:
            return None
        self._number += 1
        return Frame(values, self._folder / f"{self._number:04}.npy")


def _middle_frame(tokens: torch.Tensor, tools: VideoLatentTools) -> torch.Tensor:
    """Return (channels, rows, columns) of (1, tokens, values); conditioning stands behind the video's own tokens."""
    own = tokens[:, : tools.patchifier.get_token_count(tools.target_shape)]
    video = tools.patchifier.unpatchify(own, output_shape=tools.target_shape)
    return video[0, :, video.shape[2] // 2].to(torch.float16, copy=True, memory_format=torch.contiguous_format)


def _on_host(values: torch.Tensor) -> torch.Tensor:
    """Return a copy that is whole once the card has done what it was asked until now: nobody waits for it here."""
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
    return host.copy_(values, non_blocking=True)
