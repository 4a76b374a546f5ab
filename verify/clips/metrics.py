"""How alike two things are: tensors by their direction, pictures by error and by structure."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

Pictures = NDArray[np.uint8]  # (frames, height, width, 3)

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, of red, green and blue
_WINDOW_SIGMA = (
    1.5  # with weights of a Gaussian, as in Wang et al. 2004, "Image quality assessment"
)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """The mean over all but the last dimension of the cosine between last dimensions.

    For hidden states (tokens, hidden) that is each token's. Two equal tensors have exactly 1; a
    vector that is all zero on one side, or not finite, counts 0.
    """
    if torch.equal(a, b):
        return 1.0
    similarity = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)
    return float(similarity.nan_to_num(0.0, 0.0, 0.0).mean())


def whole_cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """The cosine between all numbers of both: what a latent's direction is as a whole."""
    return cosine(a.flatten(), b.flatten())


def psnr_db(a: Pictures, b: Pictures) -> list[float]:
    """Peak signal-to-noise ratio of each frame; infinite where a frame is equal."""
    return [
        float("inf")
        if np.array_equal(one, other)
        else float(peak_signal_noise_ratio(one, other, data_range=255))
        for one, other in zip(a, b, strict=True)
    ]


def ssim(a: Pictures, b: Pictures) -> list[float]:
    """Structural similarity of each frame's luma; 1 where a frame is equal."""
    return [
        float(
            structural_similarity(
                one @ _LUMA,
                other @ _LUMA,
                data_range=255,
                gaussian_weights=True,
                sigma=_WINDOW_SIGMA,
                use_sample_covariance=False,
            )
        )
        for one, other in zip(a, b, strict=True)
    ]
