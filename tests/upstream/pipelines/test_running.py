"""What `inspect` and `run` say of file sets that upstream's own classes named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.run import prepare
from ltx2_patcher.rules.pairing import misfit_of_pair
from ltx2_patcher.values.weights import Lora, Upsampler
from tests.upstream.conftest import BASE, FileSets
from tests.upstream.pipelines.cases import WITH_GEMMA_3
from tests.upstream.pipelines.conftest import GemmaRoots
from verify.cases import Case, Gemma, Mode, command_line

NAMES = {"2.0": "LTX-2 19B", "2.3": "LTX-2.3 22B"}


@pytest.mark.parametrize(
    ("variant", "name"), [(v, name) for v, name in NAMES.items() if v <= WITH_GEMMA_3]
)
def test_no_name_of_upstream_is_missing_or_unknown(
    fileset: FileSets, variant: str, name: str
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
    gemma_root: GemmaRoots, kind: Gemma, told: str
) -> None:
    gemma = inspect_gemma(gemma_root("2.0", kind))
    assert (gemma.quantization, gemma.missing, gemma.faults) == (told, (), ())


def test_run_renders_a_clip(
    store: Store, fileset: FileSets, upstream_tree: Path, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, WITH_GEMMA_3)
    files, out = fileset(case.variant), tmp_path / "clip.mp4"
    launch = prepare(
        store,
        store.base(BASE),
        case.script,
        command_line(case, files, files.gemma_root, None, out, tree=upstream_tree),
        os.environ,
        python=Path(sys.executable),
    )
    done = subprocess.run(
        launch.argv, env=dict(launch.variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clip.mp4").stat().st_size > 0
