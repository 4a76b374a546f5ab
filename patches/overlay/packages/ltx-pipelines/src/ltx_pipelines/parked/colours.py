"""The colours that latents will be decoded to: a linear map of a token's channels to the mean RGB of its pixels.

It is a least-squares fit to what the first clips of a video decoder were decoded to, taken while they are encoded:
nothing is decoded for it, and not a bit of a clip depends on it. The sums that it follows from lie in the user's cache.
"""

import functools
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ltx_core.parked.identity import FileIdentity, of_file, sampled
from ltx_core.parked.shelves import cache_folder

logger = logging.getLogger(__name__)

_FILES = ("--video-vae-path", "--distilled-checkpoint-path", "--checkpoint-path")
"""What names the file of the video decoder; the first that is given counts."""
_CLIPS = 16  # of a decoder, that are learned from
_FRAMES = 6  # of a clip's latents, spread over it
_RIDGE = 1e-3  # of the channels' mean square: what clips tell little of stays without colour


class Colours:
    """The map of one decoder, where clips of it were decoded before."""

    def __init__(self, place: Path) -> None:
        """`place` is the .npy file of its sums; it need not be there."""
        self._place = place
        sums = self._read()
        self._clips = 0 if sums is None else round(sums[-1, len(sums) - 1])
        self._map = None if sums is None else _solved(sums)

    @classmethod
    def of(cls, argv: Sequence[str]) -> "Colours | None":
        """Return those of a script's arguments; None where they name no file that can be read."""
        named = dict(itertools.pairwise(argv))  # of an option that is given twice the last counts
        try:
            name = next((_fingerprint(of_file(named[option])) for option in _FILES if option in named), None)
        except OSError:
            name = None
        return None if name is None else cls(cache_folder().with_name("previews") / f"{name}.npy")

    @property
    def is_learning(self) -> bool:
        """Whether more clips tell it more."""
        return self._clips < _CLIPS

    def picture(self, values: np.ndarray) -> np.ndarray | None:
        """Return (rows, columns, 3) in uint8 for latents (channels, rows, columns); None where none is known."""
        if self._map is None or len(self._map) != len(values) + 1:
            return None
        finite = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
        colours = np.tensordot(finite, self._map[:-1], axes=(0, 0)) + self._map[-1]
        return np.rint(colours.clip(0.0, 1.0) * 255).astype(np.uint8)

    def learning(
        self, chunks: Iterator[torch.Tensor], video: torch.Tensor, frames_apart: int
    ) -> Iterator[torch.Tensor]:
        """Yield decoded chunks (frames, height, width, 3), uint8 or of [0, 1], and learn from them once all are there.

        They are of the latents `video` (channels, frames, rows, columns), of which each but the first is of
        `frames_apart` frames.
        """
        means = _Means(video.shape[1:], frames_apart)
        for chunk in chunks:
            means.add(chunk)
            yield chunk
        if (colours := means.taken()) is not None:
            self._learn(video[:, means.chosen].flatten(1).T.float().cpu().numpy(), colours)

    def _learn(self, tokens: np.ndarray, colours: np.ndarray) -> None:
        """Add the sums of a clip, of as much weight as any other: (tokens, channels) and (tokens, 3)."""
        known = np.column_stack([tokens, np.ones(len(tokens), np.float32)])
        if not (np.isfinite(known).all() and np.isfinite(colours).all()):
            return
        sums = (known.T @ np.column_stack([known, colours])).astype(np.float64) / len(known)
        before = self._read()
        if before is not None and before.shape == sums.shape:
            sums += before
        unfinished = self._place.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with unfinished.open("wb") as file:
                np.save(file, sums)
            unfinished.replace(self._place)
        except OSError as error:
            logger.warning(f"previews stay without colours, since {self._place} can't be written: {error}")

    def _read(self) -> np.ndarray | None:
        """Return sums (channels + 1, channels + 4) in float64: of the products of channels and 1 with these and RGB."""
        try:
            sums = np.load(self._place)
        except (OSError, ValueError, EOFError):
            return None
        is_whole = sums.ndim == 2 and sums.shape[1] == len(sums) + 3 and sums.dtype == np.float64
        return sums if is_whole and np.isfinite(sums).all() else None


class _Means:
    """The mean colour of each token of a few frames of latents, from decoded chunks in their order."""

    def __init__(self, shape: Sequence[int], frames_apart: int) -> None:
        frames, self._rows, self._columns = shape
        places = np.linspace(min(1, frames - 1), frames - 1, _FRAMES)  # the first is of one frame alone
        self.chosen = sorted({round(place) for place in places})
        self._ranges = [(max((at - 1) * frames_apart + 1, 0), at * frames_apart + 1) for at in self.chosen]
        self._frames = (frames - 1) * frames_apart + 1
        self._seen = 0
        self._sums: list[torch.Tensor | float] = [0.0] * len(self.chosen)

    def add(self, chunk: torch.Tensor) -> None:
        """Look at the next frames; the card is not waited for."""
        begin, self._seen = self._seen, self._seen + len(chunk)
        if chunk.shape[1] % self._rows or chunk.shape[2] % self._columns:
            self._frames = 0  # they were cut, or are of other latents
        for index, (start, stop) in enumerate(self._ranges):
            for frame in chunk[max(start - begin, 0) : max(stop - begin, 0)] if self._frames else ():
                self._sums[index] = self._sums[index] + self._mean_of(frame) / (stop - start)

    def taken(self) -> np.ndarray | None:
        """Return (tokens, 3), of [0, 1]; None where the chunks were of other latents."""
        if self._seen != self._frames:
            return None
        return torch.stack(self._sums).flatten(0, -2).cpu().numpy()

    def _mean_of(self, frame: torch.Tensor) -> torch.Tensor:
        """Return (rows, columns, 3)."""
        height, width = frame.shape[0] // self._rows, frame.shape[1] // self._columns
        mean = frame.reshape(self._rows, height, self._columns, width, -1).float().mean((1, 3))
        return mean if frame.is_floating_point() else mean / 255


def _solved(sums: np.ndarray) -> np.ndarray:
    """Return the map, (channels + 1, 3) in float32: its last row stands alone."""
    gram, product = sums[:, : len(sums)].copy(), sums[:, len(sums) :]
    channels = np.arange(len(sums) - 1)
    gram[channels, channels] += _RIDGE * gram[channels, channels].mean() + np.finfo(np.float32).tiny
    return np.linalg.solve(gram, product).astype(np.float32)


@functools.cache
def _fingerprint(file: FileIdentity) -> str:
    return sampled(file)[:32]
