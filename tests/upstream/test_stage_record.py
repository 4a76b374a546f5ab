"""The record of a run: written whole, read back, and changing nothing of the run."""

from pathlib import Path

import pytest
import torch

from ltx2_patcher.values.errors import InvalidError
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import FileSets
from tests.upstream.stage_record.__main__ import main
from tests.upstream.stage_record.events import (
    FACTS,
    TENSORS,
    Event,
    Loaded,
    Stepped,
    Warned,
    of_kind,
    read_events,
    write_events,
)
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

FP8 = torch.tensor([1.0, -0.5]).to(torch.float8_e4m3fn)


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    transposed = torch.arange(6.0).view(2, 3).t()
    events: list[Event] = [
        Warned("a.logger", "a message"),
        Loaded(2, {"blocks.0.weight": FP8, "bias": torch.zeros(())}),
        Stepped(torch.tensor([1.0, 0.0]), 0, transposed, transposed + 1),
    ]
    write_events(tmp_path, events)
    read = read_events(tmp_path)
    assert [type(event) for event in read] == [Warned, Loaded, Stepped]
    assert read[0] == events[0]
    (loaded,), (step,) = of_kind(read, Loaded), of_kind(read, Stepped)
    assert loaded.stage == 2
    assert loaded.weights.keys() == {"blocks.0.weight", "bias"}
    assert torch.equal(loaded.weights["blocks.0.weight"].float(), FP8.float())
    assert torch.equal(step.sample, transposed)


@pytest.mark.parametrize("lost", [FACTS, TENSORS])
def test_half_a_record_is_told(lost: str, tmp_path: Path) -> None:
    write_events(tmp_path, [Stepped(FP8.float(), 0, FP8.float(), FP8.float())])
    (tmp_path / lost).unlink()
    with pytest.raises(InvalidError, match="no whole record"):
        read_events(tmp_path)


def test_bad_input_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_text("theirs")
    for argv, words in (
        ([str(tmp_path), "ltx_pipelines.distilled"], "exists and is not empty"),
        ([str(tmp_path / "new"), "ltx_pipelines.distiled"], "no module ltx_pipelines.distiled"),
        ([str(tmp_path / "new"), "none.at.all"], "no module none.at.all"),
    ):
        assert main(argv) == 2
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.slow
def test_recording_changes_nothing(patched: Pipelines, fileset: FileSets, tmp_path: Path) -> None:
    files, clips = fileset("2.0"), []
    for name in ("recorded", "alone"):
        clip = tmp_path / f"{name}.mp4"
        case = Case("ti2vid_two_stages", Mode.T2V, Gemma.FLAG_4BIT, "2.0")
        argv = command_line(case, files, files.text_encoder, None, clip, tree=patched.tree)
        done = (
            patched.run(case.module, argv)
            if name == "alone"
            else patched.run(
                "tests.upstream.stage_record.__main__", [str(tmp_path / "run"), case.module, *argv]
            )
        )
        assert done.code == 0, done.err
        clips.append(clip.read_bytes())
    assert clips[0] == clips[1]
