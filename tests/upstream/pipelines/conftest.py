"""One clip a case and a session: what a test compares, another may have made."""

from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from PIL import Image

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.edited_files import edited_files
from tests.upstream.pipelines.recorded_runs import DEVIATION, GUIDED, MEAN, Run, record
from verify.clips.cases import TINY
from verify.synthetic.files import Layout
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

Clips = Callable[[Case], Path]


class GemmaRoots(Protocol):
    """Gives the text encoder of a variant, quantized where its weights are to be."""

    def __call__(self, variant: str, gemma: Gemma, layout: Layout = Layout.MONOLITH) -> Path: ...


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture to start from, of another shape than the clips."""
    path = tmp_path_factory.mktemp("images") / "gradient.png"
    rows, columns = np.indices((96, 160))
    pixels = np.stack([rows * 2, columns, rows + columns], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def gemma_root(
    fileset: FileSets,
    patched: Pipelines,
    tmp_path_factory: pytest.TempPathFactory,
) -> GemmaRoots:
    """For a prequantized one, made by the overlay's own script."""

    @cache
    def root(variant: str, gemma: Gemma, layout: Layout) -> Path:
        plain = fileset(variant, layout).text_encoder
        bits = {Gemma.PREQUANTIZED_4BIT: "--4bit", Gemma.PREQUANTIZED_8BIT: "--8bit"}.get(gemma)
        if bits is None:
            return plain
        out = tmp_path_factory.mktemp("prequantized") / "gemma"
        done = patched.run(
            "ltx_pipelines.quantize_gemma",
            ["--gemma-root", str(plain), "--output", str(out), bits],
        )
        assert done.code == 0, done.err
        return out

    def given(variant: str, gemma: Gemma, layout: Layout = Layout.MONOLITH) -> Path:
        return root(variant, gemma, layout)

    return given


def clips_of(
    pipelines: Pipelines,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    folder: Path,
    via: str | None = None,
) -> Clips:
    """`via` is a module that runs the script in its own way."""
    number = count()

    @cache
    def clip(case: Case) -> Path:
        out = folder / f"{next(number)}.mp4"
        argv = command_line(
            case,
            fileset(case.variant, case.layout),
            gemma_root(case.variant, case.gemma, case.layout),
            image if case.mode is Mode.I2V else None,
            out,
            tree=pipelines.tree,
        )
        module, words = (case.module, argv) if via is None else (via, [case.module, *argv])
        done = pipelines.run(module, words)
        assert done.code == 0, done.err
        return out

    return clip


@pytest.fixture(scope="session")
def patched_clip(
    patched: Pipelines,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Clips:
    """The clip that the patched script makes of a case."""
    folder = tmp_path_factory.mktemp("patched")
    return clips_of(patched, fileset, gemma_root, image, folder)


@pytest.fixture(scope="session")
def upstream_clip(
    upstream: Pipelines,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Clips:
    """The clip that the unpatched script makes of a case without flags."""
    folder = tmp_path_factory.mktemp("upstream")
    return clips_of(upstream, fileset, gemma_root, image, folder)


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As large as the clip, and with noise in it that a compression takes away."""
    path = tmp_path_factory.mktemp("pictures") / "noisy.png"
    rows, columns = np.indices((TINY.height, TINY.width))
    noise = np.random.default_rng(0).integers(0, 40, (TINY.height, TINY.width, 3))
    pixels = np.stack([rows * 3, columns, rows + columns], axis=-1) + noise
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def two_stages(
    patched: Pipelines, fileset: FileSets, picture: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Image to video on LTX-2.3 with everything at once: a quantized Gemma, fp8-cast, guidance on a
    block that the tiny model has, a LoRA at less than its whole strength, and latent statistics
    that are not those of a normal distribution.
    """
    folder = tmp_path_factory.mktemp("two_stages")
    spread = torch.linspace(0.5, 1.5, 128).to(torch.bfloat16)
    statistics = {MEAN: spread - 1, DEVIATION: spread}
    files = edited_files(fileset("2.3"), folder / "files", tensors=statistics)
    done, events = record(patched, files, picture, folder / "run", *GUIDED)
    assert done.code == 0, done.err
    return Run(files, picture, events)
