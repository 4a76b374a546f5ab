"""A batch in one process of the real scripts, as `run --batch` starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.child import Step
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.batch import (
    Batch,
    Cancelling,
    Clip,
    Lost,
    Made,
    Outcome,
    Told,
    plan_batch,
    render_batch,
)
from ltx2_patcher.jobs.launch.script import Script, script_in
from ltx2_patcher.values.errors import BusyError, PatcherError, UsageError
from tests.trees import ROOT
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, LONG, FileSets
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"


@dataclass
class Watch:
    """What a run of a batch told, and what is done as it tells it."""

    ended: dict[int, Made | Lost] = field(default_factory=dict)
    steps: list[tuple[int, Step]] = field(default_factory=list)
    cancelling: int = 0
    at_step: Callable[[int], None] = lambda _line: None

    def __call__(self, clip: Clip, told: Told) -> None:
        match told:
            case Made() | Lost():
                self.ended[clip.number] = told
            case Step():
                self.steps.append((clip.number, told))
                self.at_step(clip.number)
            case Cancelling():
                self.cancelling += 1
            case _:
                pass


@pytest.fixture
def common(fileset: FileSets, tmp_path: Path, patched_tree: Path) -> list[str]:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    files = fileset(VARIANT)
    place = tmp_path / "out/clip.mp4"
    return command_line(case, files, files.text_encoder, None, place, tree=patched_tree)


@pytest.fixture(scope="session")
def script(patched_tree: Path) -> Script:
    python = Path(sys.executable)
    return script_in(Store(ROOT), patched_tree, "distilled", base=BASE, python=python, gpus=())


def written(folder: Path, *lines: object) -> Path:
    place = folder / "clips.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    place.write_text("".join(f"{text}\n" for text in texts))
    return place


def plan(script: Script, common: Sequence[str], file: Path, *, resume: bool = False) -> Batch:
    return plan_batch(script, BASE, common, file, resume=resume)


def render(batch: Batch, told: Watch, stops: Callable[[], int] = lambda: 0) -> Outcome:
    return render_batch(batch, os.environ, told, stops)


def child_of(pid: int) -> int:
    """The process that renders for it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for name in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
            if b"ltx_pipelines.parked.child" in Path(f"/proc/{name}/cmdline").read_bytes():
                return int(name)
        time.sleep(0.05)
    raise AssertionError("no child came up")


def test_each_clip_is_the_one_of_its_own_run(
    script: Script, common: list[str], patched: Pipelines, tmp_path: Path
) -> None:
    """Also of the line behind one that fails, and of other sizes; the failing one is told."""
    weights = tmp_path / "lost.safetensors"  # it goes once all lines were judged
    option = "--distilled-checkpoint-path"
    weights.symlink_to(common[common.index(option) + 1])
    lost = {option.removeprefix("--"): str(weights)}
    longer = {"seed": 8, "num-frames": 17, "output-path": str(tmp_path / "own.mp4")}
    lines = ("# three", {"prompt": "a red fox"}, longer, "", {"seed": 9})
    batch, told = plan(script, common, written(tmp_path, *lines[:3], lost, *lines[4:])), Watch()
    assert batch.parks
    weights.unlink()
    assert render(batch, told) == Outcome(3, (4,), 0)
    failed = told.ended[4]
    assert isinstance(failed, Lost) and "lost.safetensors" in failed.why
    file = written(tmp_path, *lines)
    batch = plan(script, common, file)
    out = tmp_path / "out"
    assert [clip.place for clip in batch.clips] == [
        out / "clip-002.mp4",
        tmp_path / "own.mp4",
        out / "clip-005.mp4",
    ]
    assert all(isinstance(told.ended[clip.number], Made) for clip in batch.clips)
    assert {number for number, _ in told.steps} == {2, 3, 5}
    assert {step.of for _, step in told.steps} == {"samplers", "media_io"}
    for clip in batch.clips:
        alone = tmp_path / "alone.mp4"
        at = clip.argv.index("--vram-budget")
        argv = [*clip.argv[:at], *clip.argv[at + 2 :], "--output-path", str(alone)]
        done = patched.run(script.module, argv)
        assert done.code == 0, done.err
        assert alone.read_bytes() == clip.place.read_bytes()
    again = plan(script, common, file, resume=True)
    assert (again.clips, again.passed_by) == ((), 3)
    (tmp_path / "own.mp4").unlink()
    assert [clip.number for clip in plan(script, common, file, resume=True).clips] == [3]
    other = written(tmp_path, "", {"prompt": "a red fox", "seed": 3}, longer, "", {"seed": 9})
    assert [clip.number for clip in plan(script, common, other, resume=True).clips] == [2, 3]


@LONG
def test_a_process_that_is_killed_is_started_again(
    script: Script, common: list[str], tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(number: int) -> None:
        if number == 2 and not killed:
            killed.append(child_of(os.getpid()))
            os.kill(killed[0], signal.SIGKILL)

    batch = plan(script, common, written(tmp_path, {"seed": 1}, {"seed": 2}, {"seed": 3}))
    told = Watch(at_step=kill)
    assert render(batch, told) == Outcome(2, (2,), 0)
    lost = told.ended[2]
    assert isinstance(lost, Lost) and lost.why.startswith("its process was ended by signal 9")
    assert not list(tmp_path.glob("out/*002*"))


@LONG
def test_who_stops_cancels_the_clip_in_hand_and_goes_on_later(
    script: Script, common: list[str], tmp_path: Path
) -> None:
    asked: list[int] = []
    file = written(tmp_path, {"seed": 1}, {"seed": 2}, {"seed": 3})
    told = Watch(at_step=lambda number: asked.append(1) if number == 2 else None)
    assert render(plan(script, common, file), told, lambda: min(len(asked), 1)) == Outcome(1, (), 2)
    assert told.cancelling == 1
    rest = plan(script, common, file, resume=True)
    assert ([clip.number for clip in rest.clips], rest.passed_by) == ([2, 3], 1)
    assert render(rest, Watch()) == Outcome(2, (), 0)


@LONG
def test_a_batch_is_rendered_once_at_a_time(
    script: Script, common: list[str], tmp_path: Path
) -> None:
    batch = plan(script, common, written(tmp_path, {"seed": 1}))
    refused: list[PatcherError] = []

    def again(_line: int) -> None:
        if not refused:
            with pytest.raises(BusyError) as caught:
                render(batch, Watch())
            refused.append(caught.value)

    assert render(batch, Watch(at_step=again)) == Outcome(1, (), 0)
    assert refused


def test_all_faults_are_told_before_anything_is_begun(
    script: Script, common: list[str], tmp_path: Path
) -> None:
    same = {"output-path": str(tmp_path / "one.mp4")}
    file = written(tmp_path, "{", {"num-frames": 12}, same, same, {"image": [["no.png", 0, 1]]})
    with pytest.raises(UsageError) as caught:
        plan(script, common, file)
    told = str(caught.value)
    assert told.startswith(f"4 of 5 lines of {file} can't be rendered, and none was begun")
    for words in ("line 1: no JSON", "line 2: ", "lines 3 and 4 have one", "there is no file no"):
        assert words in told
    assert sorted(tmp_path.iterdir()) == [file]


def run(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ltx2_patcher", "run", "--base", BASE, "distilled"]
    before = signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a runner may ignore it, a child inherits
    try:
        return subprocess.Popen(
            [*command, "--python", sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


@LONG
def test_the_command_line_reads_a_pipe_and_says_what_came_of_it(
    common: list[str], tmp_path: Path
) -> None:
    lines = '{"seed": 1}\n{"seed": 2}\n'
    out, err = (child := run("--batch", "-", "--", *common)).communicate(lines, timeout=120)
    assert child.returncode == 0, err
    one, two, last = out.splitlines()
    assert one.startswith(f"line 1, 1 of 2: {tmp_path / 'out/clip-001.mp4'}, ")
    assert two.startswith("line 2, 2 of 2: ")
    log = tmp_path / "out/batch.jsonl.log"
    assert last == f"2 made, 0 failed; what the scripts said is in {log}"
    assert log.is_file() and "--vram-budget auto is given to each" in err
    out, _ = run("--batch", "-", "--resume", "--json", "--", *common).communicate(lines, timeout=60)
    assert json.loads(out)["passed_by"] == 2


@LONG
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_its_code_and_leaves_no_process(
    number: signal.Signals, code: int, common: list[str], tmp_path: Path
) -> None:
    file = written(tmp_path, *({"seed": seed} for seed in range(20)))
    with run("--batch", str(file), "--", *common) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("line 1, 1 of 20: ")
        child = child_of(process.pid)
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert "--resume makes what is missing" in process.stderr.read()
        assert " left" in process.stdout.read()
    assert not Path(f"/proc/{child}").exists()
