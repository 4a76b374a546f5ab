"""verify.vram measures a run with parked weights: what stays on the card, and what passes."""

from pathlib import Path

import pytest
from PIL import Image

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import FileSets
from tests.upstream.parked.asked_child import VARIANT
from tests.upstream.pipelines.conftest import Clips
from verify.upstream.command_line import Gemma
from verify.vram.measurement import measured
from verify.vram.plot import write_plot
from verify.vram.requests import prepared

CASE = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)


@pytest.mark.slow
def test_what_stays_and_what_passes_is_drawn(
    fileset: FileSets, patched_tree: Path, patched_clip: Clips, tmp_path: Path
) -> None:
    files, clip = fileset(VARIANT), tmp_path / "clip.mp4"
    argv = command_line(CASE, files, files.text_encoder, None, clip, tree=patched_tree)
    ready = prepared(patched_tree, "distilled", [*argv, "--vram-budget", "6.5"], None, None)
    measurement = measured(ready)
    assert measurement.verdict.failure is None, measurement.run.last_words
    assert clip.read_bytes() == patched_clip(CASE).read_bytes()
    held = measurement.run.parked
    assert max(one.kept_bytes for one in held) > 0
    assert max(one.passing_bytes for one in held) > 0
    assert held[-1].kept_bytes == 0
    seconds = {stage.name: stage.compute_s for stage in measurement.run.stages}
    assert all(seconds[name] > 0 for name in ("text encoding", "stage 1", "stage 2"))
    report, plot = measurement.report(), tmp_path / "report.png"
    assert "--vram-budget 6.5" in report["flags"]
    assert report["timeline"]["kept"]
    write_plot(report, plot)
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
