"""One clip a case and a session: what a test compares, another may have made."""

from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from tests.upstream.conftest import FileSets
from verify.cases import Case, Gemma, Mode, command_line
from verify.pipelines import Pipelines
from verify.synthetic.files import Layout

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


def _clips(
    pipelines: Pipelines,
    fileset: FileSets,
    gemma_root: GemmaRoots,
    image: Path,
    folder: Path,
) -> Clips:
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
        done = pipelines.run(case.module, argv)
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
    return _clips(patched, fileset, gemma_root, image, folder)


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
    return _clips(upstream, fileset, gemma_root, image, folder)
