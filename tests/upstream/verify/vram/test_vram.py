"""Real scripts measured from outside, on this machine: stages, bad requests, no child left."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from PIL import Image

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import DATE, FileSets
from verify.campaigns.vram_cases import cases
from verify.upstream.command_line import Gemma
from verify.vram.ending import failure_of
from verify.vram.events import Turn
from verify.vram.inside import component_of
from verify.vram.runner import Task, measure
from verify.vram.stages import STAGE_OF, TRANSFORMER

ROOT = Path(__file__).parents[4]
OLD = DATE < "2026-03-05"  # the text encoder holds the embeddings processor
EVERY_STAGE = {
    "text encoding",
    *(() if OLD else ("embeddings",)),
    *(() if find_spec("ltx_core.parked") else ("image encoding",)),  # there for pictures alone
    "stage 1",
    "upsampling",
    "stage 2",
    "video decoding",
    "audio decoding",
}


def vram(*words: str | Path, tree: Path) -> subprocess.CompletedProcess[str]:
    """Without a GPU, also where there is one."""
    return subprocess.run(
        [sys.executable, "-m", "verify.vram", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )


def words_of(case: Case, fileset: FileSets, out: Path, tree: Path) -> list[str]:
    files = fileset(case.variant, case.layout)
    return command_line(case, files, files.text_encoder, None, out, tree=tree)


@pytest.mark.parametrize(
    "script", ["distilled", pytest.param("ti2vid_two_stages", marks=pytest.mark.slow)]
)
def test_every_stage_of_a_script_is_measured(
    script: str, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    case = Case(script, Mode.T2V, Gemma.FLAG_4BIT, "2.0" if OLD else "2.3")
    argv = words_of(case, fileset, tmp_path / "clip.mp4", patched_tree)
    out, plot = tmp_path / "report.json", tmp_path / "report.png"
    own = (script, "--tree", patched_tree, "--json", out, "--plot", plot)
    done = vram(*own, "--", *argv, tree=patched_tree)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages.keys() >= EVERY_STAGE
    busy = [stages[name] for name in EVERY_STAGE - {"image encoding"}]
    assert all(stage["compute_s"] > 0 and stage["host_anon_bytes"] > 0 for stage in busy)
    spans = report["stretches"]
    assert all(a["end_s"] == b["begin_s"] for a, b in pairwise(spans))
    assert spans[-1]["end_s"] <= report["wall_s"]
    assert (report["base"], report["pipeline"]) == (os.environ["LTX2_BASE"], script)
    assert report["verdict"]["passed"]
    assert max(gib for _, gib in report["timeline"]["host"]) > 0
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
    assert "VRAM was not" in done.stdout
    assert (tmp_path / "clip.mp4").exists()


@pytest.mark.slow
@pytest.mark.revisions(since="2026-03-05")
def test_a_run_ends_with_the_stage_that_was_named(
    fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, "2.3")
    argv = words_of(case, fileset, tmp_path / "clip.mp4", patched_tree)
    until = ("--until", "embeddings")
    done = vram("distilled", "--tree", patched_tree, *until, "--", *argv, tree=patched_tree)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w[\w ]*?)  ", done.stdout, re.MULTILINE)[1:] == [
        *(["duration"] if DATE >= "2026-08-11" else []),  # upstream looks for a head first
        "text encoding",
        "embeddings",
    ]
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["no_such"], 2, "no pipeline 'no_such'"),
        (["distilled", "--budget", "24TB"], 2, "is no budget"),
        (["distilled", "--budget", "24GB"], 4, "no GPU that a budget could be held on"),
        (["distilled", "--search", "frames"], 2, "--search needs a budget"),
        (["distilled", "--json", "."], 2, "is a folder"),
        (["distilled", "--json", "/nowhere/r.json"], 2, "no folder that you can write to"),
        (["distilled", "--tree", "/nowhere"], 3, "is no patched checkout"),
    ],
)
def test_a_bad_request_is_one_sentence(
    words: list[str], code: int, sentence: str, patched_tree: Path
) -> None:
    own = words if "--tree" in words else [words[0], "--tree", str(patched_tree), *words[1:]]
    _refused(vram(*own, "--", "--num-frames", "9", tree=patched_tree), code, sentence)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--num-frames", "9", "--width", "wide"], "is no whole number"),
        (["--num-frames", "10"], "is not of the form 8k+1"),
        pytest.param(
            [],
            "the model's duration head chooses the length",
            marks=pytest.mark.revisions(since="2026-08-11"),
        ),
    ],
)
def test_a_bad_clip_is_one_sentence(words: list[str], sentence: str, patched_tree: Path) -> None:
    _refused(
        vram("distilled", "--tree", patched_tree, "--", *words, tree=patched_tree), 2, sentence
    )


def _refused(done: subprocess.CompletedProcess[str], code: int, sentence: str) -> None:
    assert done.returncode == code
    assert sentence in done.stderr
    assert "to do: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_that_is_none_is_refused_before_it_is_loaded(
    fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    files = fileset("2.0")
    for wrong in (files.spatial_upsampler, files.distilled_lora, tmp_path / "absent.safetensors"):
        own = ("distilled", "--tree", patched_tree, "--", "--num-frames", "9")
        done = vram(*own, "--checkpoint-path", wrong, tree=patched_tree)
        assert done.returncode in {2, 5}, done.stderr
        assert "to do: " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_script_that_fails_is_told_with_its_stage(
    fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(patched_tree, tree, symlinks=True)
    with (tree / "packages/ltx-core/src/ltx_core/model/upsampler/model.py").open("a") as file:
        file.write("\n\ndel LatentUpsampler.forward\n")
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, "2.0")
    argv = words_of(case, fileset, tmp_path / "clip.mp4", tree)
    done = vram("distilled", "--tree", tree, "--", *argv, tree=tree)
    assert done.returncode == 1
    assert "NOT WITHIN: the script ended with 1 in upsampling: NotImplementedError" in done.stdout


@pytest.mark.slow
def test_a_killed_script_is_told_with_the_stage_it_was_in(
    fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    """As the host's kernel kills what takes all memory: it writes no last word."""
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, "2.0")
    argv = words_of(case, fileset, tmp_path / "clip.mp4", patched_tree)

    def kill(turn: Turn) -> None:
        if turn.component == TRANSFORMER:
            for pid in _children(os.getpid()):
                if b"verify.vram.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, SIGKILL)

    run = measure(Task(patched_tree, "distilled", tuple(argv), None, None), on_turn=kill)
    assert run.code == -SIGKILL
    assert run.stages[-1].name == "stage 1"
    assert "killed by signal 9 in stage 1" in str(failure_of(run))


@pytest.mark.parametrize("sent", [SIGKILL, pytest.param(SIGTERM, marks=pytest.mark.slow)])
def test_a_killed_measurement_leaves_no_child(
    sent: signal.Signals, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, "2.0")
    argv = words_of(case, fileset, tmp_path / "clip.mp4", patched_tree)
    command = ["verify.vram", "distilled", "--tree", str(patched_tree), "--", *argv]
    parent = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert parent.stderr is not None
    assert parent.stderr.readline().strip(), "the child has begun"
    (child,) = _children(parent.pid)
    parent.send_signal(sent)
    parent.wait()
    parent.stderr.close()
    assert _gone(child)


def test_upstreams_builders_are_known(patched_tree: Path) -> None:
    from ltx_core.model import audio_vae, transformer, upsampler, video_vae
    from ltx_core.text_encoders import gemma

    known = {
        component_of(configurator)
        for module in (audio_vae, transformer, upsampler, video_vae, gemma)
        for name, configurator in vars(module).items()
        if name.endswith("Configurator")
    }
    assert known <= {*STAGE_OF, TRANSFORMER}
    assert {"text encoder", "video decoder", TRANSFORMER} <= known


def test_a_campaign_asks_each_shape_and_each_way_to_load_gemma() -> None:
    from verify.synthetic.architecture import Variant

    for offloads in (False, True):
        of_2_0 = cases(Variant.LTX_2, offloads=offloads)
        of_2_3 = cases(Variant.LTX_2_3, offloads=offloads)
        names = [case.name for case in (*of_2_0, *of_2_3)]
        assert len(set(names)) == len(names)
        for script, found in (("distilled", of_2_0), ("ti2vid_two_stages", of_2_3)):
            shapes = {case.shape for case in found if case.script == script and not case.until}
            assert len(shapes) == 5
        assert any("--offload" in case.flags for case in of_2_0) is offloads


def _children(pid: int) -> Sequence[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _gone(pid: int) -> bool:
    """Within some seconds: a killed process takes a moment to go."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True  # it waits for whoever inherits it
        time.sleep(0.05)
    return False
