"""What `inspect` and `run` say of file sets that upstream's own classes named."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.run import prepare
from ltx2_patcher.rules.pairing import misfit_of_pair
from ltx2_patcher.values.model import Base
from ltx2_patcher.values.weights import Lora, Upsampler
from tests.upstream.pipelines.cases import VARIANTS, WITH_GEMMA_3
from verify.cases import DISTILLED_CHECKPOINT, Gemma, knows_flag
from verify.synthetic.files import FileSet

NAMES = {"2.0": "LTX-2 19B", "2.3": "LTX-2.3 22B"}


@pytest.mark.parametrize(
    ("variant", "name"), [pair for pair in NAMES.items() if pair[0] in VARIANTS]
)
def test_no_name_of_upstream_is_missing_or_unknown(
    fileset: Callable[[str], FileSet], variant: str, name: str
) -> None:
    files = fileset(variant)
    checkpoint = inspect_checkpoint(files.checkpoint)
    assert (checkpoint.name, checkpoint.missing) == (f"{name} with 2 layers", ())
    assert "other" not in {part.name for part in checkpoint.components}
    gemma = inspect_gemma(files.gemma_root)
    assert (gemma.quantization, gemma.missing, gemma.faults) == (None, (), ())
    assert misfit_of_pair(checkpoint, gemma) is None
    assert isinstance(inspect(files.distilled_lora), Lora)
    assert isinstance(inspect(files.spatial_upsampler), Upsampler)


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Gemma.PREQUANTIZED_4BIT, "4bit"), (Gemma.PREQUANTIZED_8BIT, "8bit")],
)
def test_a_root_that_our_script_quantized_is_told(
    gemma_root: Callable[[str, Gemma], Path], kind: Gemma, told: str
) -> None:
    gemma = inspect_gemma(gemma_root("2.0", kind))
    assert (gemma.quantization, gemma.missing, gemma.faults) == (told, (), ())


def test_run_renders_a_clip(
    store: Store,
    base: Base,
    fileset: Callable[[str], FileSet],
    patched_tree: Path,
    tmp_path: Path,
) -> None:
    files = fileset(WITH_GEMMA_3)
    named_apart = knows_flag(patched_tree, DISTILLED_CHECKPOINT)
    options = {
        DISTILLED_CHECKPOINT if named_apart else "--checkpoint-path": files.checkpoint,
        "--gemma-root": files.gemma_root,
        "--spatial-upsampler-path": files.spatial_upsampler,
        "--output-path": tmp_path / "clip.mp4",
        "--prompt": "a cat",
        "--num-frames": 9,
        "--width": 128,
        "--height": 128,
    }
    arguments = [str(word) for pair in options.items() for word in pair]
    launch = prepare(
        store,
        base,
        "distilled",
        [*arguments, "--gemma-4bit"],
        os.environ,
        python=Path(sys.executable),
    )
    done = subprocess.run(
        launch.argv, env=dict(launch.variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clip.mp4").stat().st_size > 0
