"""The group `portable` on 1.2.0: what its pipelines need CUDA for, and get without."""

from typing import Any

import pytest
import torch
from ltx_core.model.video_vae.transformer import DiffVAEMode
from ltx_pipelines.utils import helpers
from ltx_pipelines.utils.blocks import AudioDecoder

from tests.upstream.conftest import FileSets
from verify.synthetic.files import Layout

CPU = torch.device("cpu")


@pytest.mark.parametrize("variant", ["2.3", "2.5"])
def test_sound_is_decoded_on_a_cpu_the_same_each_time(variant: str, fileset: FileSets) -> None:
    """A shell is kept between calls, and so is what is not of the checkpoint in it."""
    decoder = AudioDecoder(str(fileset(variant).audio_vae), torch.bfloat16, CPU)
    latent = torch.randn((1, 8, 10, 16), generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.inference_mode():
        heard = [decoder(latent).waveform for _ in range(3)]
    assert heard[0].isfinite().all()
    assert heard[0].abs().max() > 0
    assert all(torch.equal(heard[0], other) for other in heard)


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without a GPU")
def test_the_diffusion_vae_is_tiled_in_the_hosts_memory(fileset: FileSets) -> None:
    vae = str(fileset("2.5", Layout.SPLIT).video_vae)

    def tiles(**budget: int) -> Any:
        return helpers.tiling_config_for_vae(
            vae,
            height=64,
            width=128,
            num_frames=9,
            diffvae_optimization=DiffVAEMode.CHUNKED_EAGER,
            device=CPU,
            **budget,
        )

    assert tiles() == tiles(free_bytes=24 << 30)
    with pytest.raises(ValueError, match="Cannot fit a DiffVAE decode tile"):
        tiles(free_bytes=0)
