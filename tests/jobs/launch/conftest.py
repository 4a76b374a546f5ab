"""A patched checkout with an environment, and requests for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.launch.script import Launch, find_script
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.values.base import Base
from tests.small_repository import make_repository
from tests.small_wheels import make_environment
from tests.weight_files import (
    RELEASED,
    lora_of,
    plain,
    write,
    write_checkpoint,
    write_gemma,
)

PROJECTION = "text_embedding_projection.aggregate_embed.weight"
LINEAR = "language_model.model.layers.0.mlp.up_proj"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Store:
    """A patched checkout and an environment beside it."""
    root = tmp_path_factory.mktemp("ready") / "repository"
    store = make_repository(root, published, base)
    make_environment(environment_path(store, base), base.environment)
    return store


def prepare(
    store: Store,
    base: Base,
    name: str,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    python: Path | None = None,
    gpu: int | None = None,
) -> Launch:
    script = find_script(store, base, name, python=python, gpu=gpu)
    request = parse_argv(script.target.pipeline, arguments)
    return script.launch(admit(request, script.target).request, variables)


@dataclass(frozen=True)
class Case:
    """A request that is right in every point."""

    store: Store
    base: Base
    folder: Path

    def prepare(
        self, *more: str, name: str = "distilled", python: Path | None = None, **variables: str
    ) -> Launch:
        return prepare(self.store, self.base, name, [*self.right, *more], variables, python=python)

    @property
    def right(self) -> Sequence[str]:
        named = {
            "distilled-checkpoint-path": "model.safetensors",
            "gemma-root": "gemma",
            "spatial-upsampler-path": "upsampler.safetensors",
            "output-path": "clip.mp4",
        }
        paths = [word for k, v in named.items() for word in (f"--{k}", str(self.folder / v))]
        return [*paths, "--prompt", "a cat"]


@pytest.fixture
def case(ready: Store, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    write_gemma(tmp_path / "gemma")
    write(tmp_path / "upsampler.safetensors", plain(["post_upsample_res_blocks.0.conv1.weight"]))
    write(tmp_path / "lora.safetensors", lora_of("diffusion_model.transformer_blocks.0.attn1.to_q"))
    kohya = {"lora_unet_transformer_blocks_99_attn1_to_q.lora_down.weight": ("BF16", (1, 2))}
    write(tmp_path / "kohya.safetensors", kohya)
    return Case(ready, base, tmp_path)
