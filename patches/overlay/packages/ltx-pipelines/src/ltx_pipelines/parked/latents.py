"""What a picture is made of while it forms: of each denoising step the latents of one frame, in a file of its own."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ltx_core.tools import LatentTools, VideoLatentTools
from ltx_core.types import LatentState
from ltx_pipelines.parked.colours import Colours

logger = logging.getLogger(__name__)

Blend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Frame:
    """Latents of one frame, (channels, rows, columns) in float16, in host memory once the card has got there."""

    values: torch.Tensor
    place: Path
    colours: Colours | None = None

    def write(self) -> str | None:
        """Return the .npy file that holds them, or what colours they have where that is known, (rows, columns, 3).

        It is whole as soon as it is there; None where it can't be written.
        """
        unfinished = self.place.with_suffix(".tmp")
        values = self.values.numpy()
        picture = None if self.colours is None else self.colours.picture(values)
        try:
            with unfinished.open("wb") as file:
                np.save(file, values if picture is None else picture)
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

    def __init__(self, folder: Path, colours: Colours | None = None) -> None:
        """Their files go to `folder`, numbered from 1; `colours` learn from the clip, where they still do."""
        self._folder = folder
        self._colours = colours
        self._number = 0
        self._tools: VideoLatentTools | None = None
        self._mask: torch.Tensor | None = None
        self._values: torch.Tensor | None = None
        self._tokens: torch.Tensor | None = None  # of the last step, while colours are learned

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
                if self._colours is not None and self._colours.is_learning:
                    self._tokens = blended
            return blended

        return blend_and_take

    def learning(self, encode: Callable[..., object]) -> Callable[..., object]:
        """Return upstream's `encode_video`, whose frames are what the latents of the last step were decoded to."""

        def learn_and_encode(
            video: torch.Tensor | Iterator[torch.Tensor], *args: object, color_space: object = None, **options: object
        ) -> object:
            tokens, self._tokens = self._tokens, None
            if color_space is not None:  # of HDR, which is no colour that a screen shows
                return encode(video, *args, color_space=color_space, **options)
            if tokens is not None:
                chunks = iter([video]) if isinstance(video, torch.Tensor) else video
                latents = _video_of(tokens, self._tools)[0]
                video = self._colours.learning(chunks, latents, self._tools.scale_factors.time)
            return encode(video, *args, **options)

        return learn_and_encode

    def taken(self) -> Frame | None:
        """Return what was taken in the step that is over; None of a step without video."""
        values, self._values = self._values, None
        if values is None:
            return None
        self._number += 1
        return Frame(values, self._folder / f"{self._number:04}.npy", self._colours)


def _video_of(tokens: torch.Tensor, tools: VideoLatentTools) -> torch.Tensor:
    """Return (1, channels, frames, rows, columns) of (1, tokens, values); conditioning stands behind its own."""
    own = tokens[:, : tools.patchifier.get_token_count(tools.target_shape)]
    return tools.patchifier.unpatchify(own, output_shape=tools.target_shape)


def _middle_frame(tokens: torch.Tensor, tools: VideoLatentTools) -> torch.Tensor:
    """Return (channels, rows, columns) of (1, tokens, values)."""
    video = _video_of(tokens, tools)
    return video[0, :, video.shape[2] // 2].to(torch.float16, copy=True, memory_format=torch.contiguous_format)


def _on_host(values: torch.Tensor) -> torch.Tensor:
    """Return a copy that is whole once the card has done what it was asked until now: nobody waits for it here."""
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
    return host.copy_(values, non_blocking=True)
