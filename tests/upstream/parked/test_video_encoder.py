"""Of a clip from text alone the video encoder is never built, and its statistics are its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder
from ltx_core.model.video_vae import VAE_ENCODER_COMFY_KEYS_FILTER, VideoEncoderConfigurator
from ltx_core.parked.observer import observe
from ltx_core.parked.store import WeightStore
from ltx_pipelines.parked.video_encoder import EncoderWhenUsed

from tests.upstream.conftest import BASE, FileSets
from tests.upstream.pipelines.edited_files import edited_files
from tests.upstream.pipelines.recorded_runs import MEAN

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
CPU = torch.device("cpu")


class Built:
    """The models that a store was asked for."""

    def __init__(self) -> None:
        self.models: list[str] = []

    def begun(self, model: str) -> None:
        self.models.append(model)

    def point(self) -> None:
        pass


@pytest.fixture
def built() -> Iterator[list[str]]:
    watching = Built()
    observe(watching)
    yield watching.models
    observe(None)


def builder(checkpoint: Path) -> SingleGPUModelBuilder:
    """As upstream has it, but with a store, which tells what is built."""
    return SingleGPUModelBuilder(
        model_path=str(checkpoint),
        model_class_configurator=VideoEncoderConfigurator,
        model_sd_ops=VAE_ENCODER_COMFY_KEYS_FILTER,
        registry=WeightStore(),
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_its_statistics_come_alone_and_are_its_own(
    dtype: torch.dtype, fileset: FileSets, tmp_path: Path, built: list[str]
) -> None:
    """Of values that bf16 has no room for, which a cast has to change in the same way."""
    files = edited_files(fileset(VARIANT), tmp_path / "files", tensors={MEAN: torch.rand(128)})
    asked = EncoderWhenUsed(builder(files.checkpoint), CPU, dtype)
    alone = asked.per_channel_statistics.state_dict()
    assert not built
    encoder = builder(files.checkpoint).build(device=CPU, dtype=dtype)
    whole = encoder.per_channel_statistics.state_dict()
    assert list(alone) == list(whole)
    for name, value in alone.items():
        assert value.dtype == whole[name].dtype == dtype
        assert torch.equal(value, whole[name])


def test_it_is_built_once_and_encodes_as_upstreams(fileset: FileSets, built: list[str]) -> None:
    made = builder(fileset(VARIANT).checkpoint)
    asked = EncoderWhenUsed(made, CPU, torch.bfloat16)
    whole = made.build(device=CPU, dtype=torch.bfloat16)
    assert asked.latent_channels == whole.latent_channels
    picture = torch.rand(1, 3, 1, 64, 64, dtype=torch.bfloat16)
    for _ in range(2):
        assert torch.equal(asked(picture), whole(picture))
    assert not asked.training
    assert len(built) == 2
    assert asked.per_channel_statistics is not None
    assert len(built) == 2


def test_statistics_that_a_file_lacks_are_told_of_as_upstream_does(
    fileset: FileSets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = edited_files(fileset(VARIANT), tmp_path / "files", tensors={MEAN: None})
    asked = EncoderWhenUsed(builder(files.checkpoint), CPU, torch.bfloat16)
    assert asked.per_channel_statistics.get_buffer("mean-of-means").is_meta
    assert "Uninitialized parameters or buffers: ['per_channel_statistics.mean" in caplog.text
