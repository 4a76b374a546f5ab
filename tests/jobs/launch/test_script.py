"""What can be told before a model is loaded is told; everything else is passed on untouched."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.machine import mappable_bytes
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.launch.pipelines import pipelines_in, source_paths
from ltx2_patcher.jobs.launch.script import find_script
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.places import make_output_folder
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import (
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from tests.conftest import ROOT
from tests.jobs.launch.conftest import PROJECTION, Case, prepare
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi
from tests.weight_files import (
    RELEASED,
    plain,
    write_checkpoint,
)


def test_every_script_of_upstream_is_listed(ready: Store, base: Base) -> None:
    found = {pipeline.name: pipeline for pipeline in pipelines_in(checkout_path(ready, base))}
    assert found["distilled"].divisor == 64
    assert found["ti2vid_one_stage"].divisor == 32
    assert found["retake"].divisor is None
    without = {name for name in found if "--vram-budget" not in found[name].options}
    assert without == {"convert", "quantize_gemma", "echo"}
    assert {
        "quantize_gemma",
        "keyframe_interpolation",
        "ti2vid_two_stages",
        "ic_lora",
    } <= found.keys()
    assert all(pipeline.summary for pipeline in found.values())


def test_a_right_request_is_passed_on(case: Case) -> None:
    more = ("--num-frames", "121", "--gemma-4bit", "--lora", str(case.folder / "lora.safetensors"))
    launch = case.prepare(*more, LANG="C", PYTHONPATH="/theirs")
    python = environment_path(case.store, case.base) / "bin/python"
    assert launch.argv[0] == str(python)
    assert launch.argv[3:5] == ("-m", "ltx_pipelines.distilled")
    assert sorted(launch.argv[5:]) == sorted((*case.right, *more))
    sources = map(str, source_paths(checkout_path(case.store, case.base)))
    path = os.pathsep.join([*sources, str(ROOT / "ltx2_patcher/launched"), "/theirs"])
    assert launch.variables == {"LANG": "C", "PYTHONPATH": path}


IDLE = (
    (
        "transformers.models.auto.image_processing_auto",
        "Using a slow image processor as `use_fast` is unset",
    ),
    ("transformers.processing_utils", "Using a slow image processor as `use_fast` is unset and a"),
    (
        "bitsandbytes.backends.cpu.ops",
        "Failed to load CPU gemm_4bit_forward from kernels-community",
    ),
)


def test_a_started_script_keeps_back_lines_that_mean_nothing_and_no_other(
    case: Case, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/sitecustomize.py").write_text("print('their own start')\n")
    launch = case.prepare(PYTHONPATH=str(tmp_path / "theirs"))
    logs = [(logger, f"{line}: %s") for logger, line in IDLE]
    logs += [(logger, "a real failure: %s") for logger, _ in IDLE] + [("root", IDLE[0][1])]
    code = (
        "import logging, sys\n"
        "logging.basicConfig(format='%(message)s')\n"
        f"for logger, line in {logs!r}:\n"
        "    logging.getLogger(logger).warning(line.replace('%s', 'x'))\n"
        "assert not [folder for folder in sys.path if folder.endswith('launched')]\n"
    )
    done = subprocess.run(
        [launch.argv[0], "-c", code],
        env=dict(launch.variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "their own start\n"
    assert done.stderr.splitlines() == ["a real failure: x"] * len(IDLE) + [IDLE[0][1]]


@pytest.mark.parametrize(("hides", "shown"), [({"LTX2_HIDES_PROMPTS": "1"}, []), ({}, ["a fox"])])
def test_a_started_script_keeps_prompts_to_itself_where_it_is_told_to(
    case: Case, hides: dict[str, str], shown: list[str]
) -> None:
    launch = case.prepare()
    code = (
        "import logging\n"
        "logging.basicConfig(format='%(message)s', level='INFO')\n"
        "logging.info(f'Enhanced prompt: {\"a fox\"}')\n"  # 1.0.0
        "logging.info('Enhanced prompt: %s', 'a fox')\n"  # 1.2.0
        "logging.info('all else')\n"
    )
    argv = [launch.argv[0], "-c", code]
    variables = {**launch.variables, **hides}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
    lines = [f"Enhanced prompt: {prompt}" for prompt in shown * 2]
    assert done.stderr.splitlines() == [*lines, "all else"]


@pytest.mark.skipif(mappable_bytes() is None, reason="this machine maps files of any size")
def test_a_checkpoint_larger_than_memory_and_swap_is_refused(case: Case) -> None:
    """It would die with torch's words on mmap, after Gemma was loaded."""
    most = mappable_bytes()
    assert most is not None
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    tensors["vae.surplus"] = ("U8", (most,))
    write_checkpoint(case.folder / "model.safetensors", tensors, config)
    with pytest.raises(OutsideError, match="this machine maps files of at most") as caught:
        case.prepare()
    assert "vm.overcommit_memory=1" in caught.value.remedy


def test_on_cuda_memory_does_not_fragment_unless_the_user_chose(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nvidia_smi(tmp_path / "bin", RTX_3090, RTX_3090.replace("0,", "1,", 1))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    name = "PYTORCH_CUDA_ALLOC_CONF"
    assert case.prepare().variables[name] == "expandable_segments:True"
    assert case.prepare(PYTORCH_CUDA_ALLOC_CONF="theirs").variables[name] == "theirs"
    assert name not in case.prepare(PYTORCH_ALLOC_CONF="theirs").variables
    assert "CUDA_VISIBLE_DEVICES" not in case.prepare().variables
    launch = prepare(case.store, case.base, "distilled", case.right, {}, gpu=1)
    assert launch.variables["CUDA_VISIBLE_DEVICES"] == "1"
    assert launch.variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    with pytest.raises(UsageError, match="no GPU 5"):
        prepare(case.store, case.base, "distilled", case.right, {}, gpu=5)


def test_fp8_matrix_products_are_refused_on_a_card_that_has_none(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--quantization", "fp8-scaled-mm"]

    def admitted(*more: str, gpu: int | None = None) -> None:
        """On a base that takes it: 1.0.0 does not on any card."""
        target = find_script(case.store, case.base, "distilled", python=None, gpu=gpu).target
        able = replace(target.abilities, can=frozenset({"scaled-mm"}))
        request = parse_argv(target.pipeline, [*case.right, *more])
        admit(request, replace(target, abilities=able))

    admitted(*words)  # no card here: nothing to judge by
    with pytest.raises(UsageError, match="base 1.0.0 can't take --quantization fp8-scaled-mm"):
        case.prepare(*words)
    newer = H200.replace("0,", "1,", 1)
    monkeypatch.setenv("PATH", str(write_nvidia_smi(tmp_path / "bin", RTX_3090)), prepend=":")
    with pytest.raises(UsageError, match="8.9 or newer, and NVIDIA GeForce RTX 3090 has 8.6"):
        admitted(*words)
    case.prepare("--quantization", "fp8-cast")
    write_nvidia_smi(tmp_path / "bin", RTX_3090, newer)
    admitted(*words)
    admitted(*words, gpu=1)
    with pytest.raises(UsageError, match="RTX 3090 has 8.6"):
        admitted(*words, gpu=0)


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ("--num-frames 120", UsageError, "8k\\+1"),
        ("--width 736", UsageError, "divisible by 64"),
        ("--gemma-4bit --gemma-8bit", UsageError, "exclude"),
        ("--image {}/none.png 0 1.0", UsageError, "no file"),
        ("--lora {}/model.safetensors 1.0", UsageError, "is a checkpoint"),
        ("--lora {}/kohya.safetensors", UsageError, "holds no module of LTX-2 19B"),
        ("--lora {}/upsampler.safetensors", UsageError, "is an upsampler"),
        ("--spatial-upsampler-path {}/lora.safetensors", UsageError, "is a LoRA"),
        ("--output-path {}/model.safetensors/clip.mp4", UsageError, "can write to"),
        ("--output-path {}", UsageError, "is a folder"),
        ("--output-path {}/clip", UsageError, "has no suffix"),
        ("--output-path {}/clip.webm", UsageError, "ends in .webm"),
        ("--output-path /dev/full", UsageError, "no file that you can write to"),
        ("--output-path=", UsageError, "'' is no path"),
        ("--frame-rate 0", UsageError, "no rate"),
        ("--seed 18446744073709551616", UsageError, "more than 64 bits"),
        ("--num-frames 9 --image {}/model.safetensors 9 1.0", UsageError, "one of the 9 frames"),
        ("--gemma-root {}/none", UsageError, "not a folder"),
        ("--distilled-checkpoint-path {}/none.safetensors", UsageError, "does not exist"),
        ("--distilled-checkpoint-path {}/lora.safetensors", InvalidError, "no LTX-2 checkpoint"),
    ],
)
def test_what_can_not_work_is_refused(
    case: Case, more: str, kind: type[PatcherError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        case.prepare(*more.format(case.folder).split())


def test_a_home_is_handed_on_as_the_folder_that_it_is(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retake of 1.0.0 made a folder named "~"."""
    monkeypatch.setenv("HOME", str(case.folder))
    words = ["--gemma-root=~/gemma", "--output-path=~/home.mp4", "--lora", "~/lora.safetensors"]
    launch = case.prepare(*words)
    for name in ("gemma", "home.mp4", "lora.safetensors"):
        assert str(case.folder / name) in launch.argv
    assert not any(word.startswith("~") for word in launch.argv)


@pytest.mark.parametrize("leads", ["nowhere/clip.mp4", "gone.mp4", "link.mp4"])
def test_a_link_that_leads_nowhere_is_no_place_for_a_clip(case: Case, leads: str) -> None:
    link = case.folder / "link.mp4"
    link.symlink_to(leads)
    with pytest.raises(UsageError, match="is a link that leads nowhere"):
        case.prepare("--output-path", str(link))
    link.unlink()
    link.symlink_to("there.mp4")
    (case.folder / "there.mp4").touch()
    case.prepare("--output-path", str(link))


def test_a_clip_never_takes_the_place_of_what_it_is_made_of(case: Case) -> None:
    sound, link = case.folder / "sound.mp4", case.folder / "link.mp4"
    sound.write_bytes(b"a sound")
    link.hardlink_to(sound)
    for output in (sound, link, case.folder / "none" / ".." / "sound.mp4"):
        asked = ["--audio-path", str(sound), "--output-path", str(output)]
        with pytest.raises(UsageError, match="the clip would take its place"):
            case.prepare(*asked, name="a2vid_two_stage")
    assert sound.read_bytes() == b"a sound"


def test_the_folders_of_a_clip_are_made_once_it_runs(case: Case) -> None:
    clip = case.folder / "some" / "where" / "clip.mp4"
    script = find_script(case.store, case.base, "distilled")
    asked = [*case.right, "--output-path", str(clip)]
    admitted = admit(parse_argv(script.target.pipeline, asked), script.target)
    assert not clip.parent.parent.exists()
    make_output_folder(admitted.request)
    assert list(clip.parent.iterdir()) == []
    with pytest.raises(OutsideError, match="/proc can't be used"):  # root may write, it says
        make_output_folder(replace(admitted.request, output=Path("/proc/clip.mp4")))


def test_a_picture_before_the_clip_is_warned_of(case: Case) -> None:
    picture = case.folder / "model.safetensors"
    script = find_script(case.store, case.base, "distilled")
    for frame, warned in ((0, 0), (-1, 1)):
        asked = [*case.right, "--image", str(picture), str(frame), "1.0"]
        found = admit(parse_argv(script.target.pipeline, asked), script.target).warnings
        assert len(found) == warned
        assert all("stands at frame -1" in one.fact and one.remedy for one in found)


def test_what_is_not_there_yet_is_named_with_the_command_that_makes_it(
    case: Case, copied_store: Store, published: Path
) -> None:
    with pytest.raises(ConflictError) as caught:
        prepare(copied_store, case.base, "distilled", case.right, {})
    assert caught.value.remedy == "run `make patch`"
    shutil.copytree(published, checkout_path(copied_store, case.base), symlinks=True)
    with pytest.raises(ConflictError, match="not patched") as caught:
        prepare(copied_store, case.base, "distilled", case.right, {})
    assert caught.value.remedy == "run `make patch`"
    (environment_path(case.store, case.base) / "bin/python").rename(case.folder / "away")
    try:
        with pytest.raises(ConflictError) as caught:
            case.prepare()
    finally:
        (case.folder / "away").rename(environment_path(case.store, case.base) / "bin/python")
    assert "make install" in caught.value.remedy


def test_near_names_are_offered(ready: Store, base: Base) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(ready, base, "ti2vid_two_stage", [], {})
    assert "ti2vid_two_stages" in caught.value.remedy
