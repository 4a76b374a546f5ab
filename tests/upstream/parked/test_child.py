"""Request after request in one child: each clip is the script's own, each ends as it should."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.upstream.cases import Case, Mode
from tests.upstream.conftest import FileSets
from tests.upstream.parked.asked_child import CASE, VARIANT, Child
from tests.upstream.pipelines.conftest import Clips
from verify.synthetic.files import named_models
from verify.upstream.command_line import LORA, Gemma

PREVIEWS = Path(os.environ["XDG_CACHE_HOME"]) / "ltx2-patcher/previews"


@pytest.fixture(scope="module")
def one_child(
    patched_tree: Path, fileset: FileSets, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Child]:
    started = Child(patched_tree, fileset, tmp_path_factory.mktemp("child"))
    yield started
    assert started.close() == 0


@pytest.fixture
def child(one_child: Child, request: pytest.FixtureRequest) -> Child:
    """One process for all tests here."""
    one_child.test = f"{request.node.nodeid.replace('/', '.')}-"
    return one_child


def test_a_failing_request_leaves_those_around_it_as_they_are(
    child: Child, patched_clip: Clips, tmp_path: Path
) -> None:
    wanted = patched_clip(CASE).read_bytes()
    torn = tmp_path / "lora.safetensors"
    torn.write_bytes(b"no weights")
    first = child.ask("first")
    child.ask("argument", "--seed", "none")
    child.ask("lora", "--lora", str(torn))
    child.ask("module", module="ltx_pipelines.nothing")
    other = child.ask("other", "--seed", "8")
    last = child.ask("last")
    assert child.ended("first")["seconds"] > 0
    assert child.ended("argument")["code"] == 2
    told = child.ended("lora")
    assert (told["event"], told["code"]) == ("failed", 1)
    assert told["error"].startswith("SafetensorError: ")
    assert "ltx_pipelines.nothing" in child.ended("module")["error"]
    assert child.ended("other")["event"] == "done"
    assert child.ended("last")["event"] == "done"
    assert first.read_bytes() == last.read_bytes() == wanted
    assert other.read_bytes() != wanted


def test_a_script_that_can_not_be_imported_is_told_from_one_that_is_not_there(
    child: Child,
) -> None:
    child.write_script("needing", "import ltx_pipelines.lost.part\n")
    child.write_script("taking", "from json import nothing\n")
    child.write_script("raising", "raise OSError('no library')\n")
    for module, told in (
        ("lost", "there is no script lost: "),
        ("lost.part", "there is no script lost.part: "),
        ("ltx_pipelines.lost", "there is no script ltx_pipelines.lost: "),
        (
            "needing",
            "the script needing needs what is not there: No module named 'ltx_pipelines.lo",
        ),
        (
            "taking",
            "the script taking can't be imported: ImportError: cannot import name 'nothing'",
        ),
        ("raising", "the script raising can't be imported: OSError: no library"),
    ):
        child.ask(module, module=module)
        ended = child.ended(module)
        assert (ended["event"], ended["code"]) == ("failed", 1)
        assert ended["error"].startswith(told)


def test_models_and_steps_are_told_in_their_order(child: Child) -> None:
    child.ask("clip", "--prompt", "A heron, which nothing here has asked for before.")
    told = []
    for event in child.events("clip"):
        told.append(event)
        if event["event"] == "done":
            break
    assert told[0] == {"event": "begun"}
    steps = [event for event in told if event["event"] == "step"]
    sampled = [(event["done"], event["total"]) for event in steps if event["of"] == "samplers"]
    assert sampled == [*((n, 8) for n in range(1, 9)), *((n, 3) for n in range(1, 4))]
    assert steps[-1]["of"] == "media_io"
    models = [event["model"] for event in told if event["event"] == "model"]
    assert models[0].endswith("GemmaTextEncoder")
    assert models[1] == "EmbeddingsProcessor"
    assert "LTXModel" in models


def test_a_clip_leaves_no_thread_behind(child: Child, tmp_path: Path) -> None:
    """A night has thousands of them."""
    child.write_script(
        "threads",
        "import pathlib, sys, threading\n"
        "def main():\n"
        "    names = sorted(thread.name for thread in threading.enumerate())\n"
        "    pathlib.Path(sys.argv[1]).write_text(' '.join(names))\n",
    )
    seen = []
    for number in range(2):
        child.ask(f"clip {number}")
        child.steps(f"clip {number}")
        out = tmp_path / str(number)
        name = f"{child.test}threads {number}"
        child.say({"id": name, "module": "threads", "argv": [str(out)]})
        child.steps(f"threads {number}")
        seen.append(out.read_text())
    assert seen[0] == seen[1]


def test_a_prompt_is_encoded_once(child: Child, patched_clip: Clips) -> None:
    """Each clip is that of a process without parked weights."""
    prompt = "A kingfisher dives into a brook."
    first = replace(CASE, prompt=prompt)
    cases = {
        "first": first,
        "seed": replace(first, seed=8),
        "other": replace(first, prompt=f"{prompt} It is dusk."),
        "again": first,
    }
    encoded = {}
    for name, case in cases.items():
        clip = child.ask(name, case=case)
        models = child.models(name)
        encoded[name] = [model for model in models if "Gemma" in model or "Embeddings" in model]
        assert "LTXModel" in models
        assert "VideoEncoder" not in models  # there is no picture
        assert clip.read_bytes() == patched_clip(case).read_bytes()
    assert {name: len(models) for name, models in encoded.items()} == {
        "first": 2,
        "seed": 0,
        "other": 2,
        "again": 0,
    }


POINTS = [
    ("begun", {}),
    ("model", {"model": "EmbeddingsProcessor"}),
    ("step", {"of": "samplers", "done": 2}),
    ("step", {"of": "samplers", "done": 1, "total": 3}),
]


@pytest.mark.parametrize(("kind", "parts"), POINTS)
def test_a_cancelled_run_ends_there_and_the_next_one_is_made(
    child: Child, patched_clip: Clips, kind: str, parts: dict[str, Any]
) -> None:
    gone = child.ask("gone", "--prompt", f"Nobody has seen a {kind} of {parts} before.")
    for event in child.events("gone"):
        if event["event"] == kind and parts.items() <= event.items():
            child.cancel("gone")
            break
    assert child.ended("gone")["event"] == "cancelled"
    assert not gone.exists()
    made = child.ask("made")
    assert child.ended("made")["event"] == "done"
    assert made.read_bytes() == patched_clip(CASE).read_bytes()


def test_one_that_waits_is_cancelled_before_it_begins(child: Child) -> None:
    child.ask("first")
    gone = child.ask("gone")
    child.cancel("gone")
    assert next(child.events("gone")) == {"event": "cancelled"}
    assert not gone.exists()


def test_a_lora_that_changes_on_disk_is_read_again(
    child: Child, fileset: FileSets, tmp_path: Path
) -> None:
    lora = tmp_path / "lora.safetensors"
    stored = named_models(fileset(VARIANT))[LORA].read_bytes()
    lora.write_bytes(stored)
    clips = []
    for name, change in (("one", False), ("same", False), ("other", True)):
        if change:  # in the last weight of the file
            lora.write_bytes(stored[:-2] + bytes([stored[-2] ^ 0x40, stored[-1] ^ 0x40]))
        clips.append(child.ask(name, "--lora", str(lora), "1.0"))
        assert child.ended(name)["event"] == "done"
    one, same, other = (clip.read_bytes() for clip in clips)
    assert one == same
    assert other != one


LAST_LATENTS = """
import numpy as np
from importlib import import_module
from ltx_core.tools import VideoLatentTools

whole = VideoLatentTools.unpatchify


def unpatchify(self, state):
    made = whole(self, state)
    np.save(r"{place}", made.latent.float().cpu().numpy())
    return made


def main():
    VideoLatentTools.unpatchify = unpatchify
    try:
        return import_module("{script}").main()
    finally:
        VideoLatentTools.unpatchify = whole
"""


@pytest.mark.parametrize(
    ("script", "steps", "keyframe"),
    [
        ("distilled", [8, 3], None),
        ("distilled", [8, 3], 8),  # its tokens stand behind the video's own
        ("ti2vid_two_stages_hq", [2, 3], None),  # a sampler that denoises twice a step
    ],
)
def test_the_latents_of_each_step_are_given_where_asked_for(
    child: Child, image: Path, tmp_path: Path, script: str, steps: list[int], keyframe: int | None
) -> None:
    """They come to be those that are decoded, and the clip is the same."""
    shutil.rmtree(PREVIEWS, ignore_errors=True)
    case = Case(script, Mode.T2V, Gemma.PLAIN, VARIANT)
    more = [] if keyframe is None else ["--image", str(image), str(keyframe), "0.8"]
    decoded = tmp_path / "decoded.npy"
    watched = f"watched_{tmp_path.name}"  # a module of its own: one is imported once
    child.write_script(watched, LAST_LATENTS.format(place=decoded, script=case.module))
    plain = child.ask("plain", *more, case=case)
    assert all(step.latents is None for step in child.steps("plain"))
    child.ask("models", *more, case=case)
    assert ("VideoEncoder" in child.models("models")) is (keyframe is not None)
    made = child.ask("latents", *more, case=case, module=watched, latents=tmp_path)
    told = [step for step in child.steps("latents") if step.of == "samplers"]
    assert made.read_bytes() == plain.read_bytes()
    assert [step.latents for step in told] == [
        tmp_path / f"{number:04}.npy" for number in range(1, sum(steps) + 1)
    ]
    latents = [np.load(step.latents) for step in told if step.latents is not None]
    assert {frame.dtype for frame in latents} == {np.dtype(np.float16)}
    shapes = [(128, 1, 2)] * steps[0] + [(128, 2, 4)] * steps[1]
    assert [frame.shape for frame in latents] == shapes
    last = np.load(decoded)[0, :, 1]
    error = [np.abs(frame - last).mean() for frame in latents[steps[0] :]]
    assert error[-1] < 0.05 * np.abs(last).mean()
    assert error[0] > 2 * error[-1]
    assert not list(tmp_path.glob("*.tmp"))


LARGER = ("--height", "256", "--width", "384", "--num-frames", "25")  # 8 x 12 tokens, 4 frames


@pytest.fixture
def decoder_of_near_things(fileset: FileSets, tmp_path: Path) -> Path:
    """A checkpoint whose decoder makes strong colours of each token by itself, as trained ones do:
    one of random weights makes a faint mean of all that is near.
    """
    stored = named_models(fileset(VARIANT))["--distilled-checkpoint-path"]
    with safe_open(stored, "pt") as opened:
        metadata = opened.metadata()
    weights = load_file(stored)
    for name, weight in weights.items():
        if name.startswith("vae.decoder.") and weight.shape[2:] == (3, 3, 3):
            middle = weight[:, :, 1, 1, 1] * 27**0.5
            if "conv_out" in name:  # of 4 x 4 pixels a colour
                middle = middle.unflatten(0, (3, 16)).mean(1).repeat_interleave(16, 0) * 4
            weights[name] = torch.zeros_like(weight)
            weights[name][:, :, 1, 1, 1] = middle
    path = tmp_path / "near.safetensors"
    save_file(weights, path, metadata)
    return path


def test_a_preview_has_the_colours_of_its_frame_once_clips_were_decoded(
    child: Child, decoder_of_near_things: Path, tmp_path: Path
) -> None:
    shutil.rmtree(PREVIEWS, ignore_errors=True)
    more = (*LARGER, "--distilled-checkpoint-path", str(decoder_of_near_things))
    told: list[list[np.ndarray]] = []
    for number in range(5):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        made = child.ask(f"seed {number}", *more, "--seed", str(number), latents=folder)
        places = [step.latents for step in child.steps(f"seed {number}")]
        told.append([np.load(place) for place in places if place is not None])
    assert {frame.dtype for frame in told[0]} == {np.dtype(np.float16)}
    assert [frame.shape for frame in told[-1]] == [(4, 6, 3)] * 8 + [(8, 12, 3)] * 3
    assert {frame.dtype for frame in told[-1]} == {np.dtype(np.uint8)}
    with av.open(str(made)) as clip:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)])
    middle = frames[9:17].reshape(8, 8, 32, 12, 32, 3).mean((0, 2, 4))
    for colour in range(3):
        pair = told[-1][-1][..., colour].ravel(), middle[..., colour].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.6
        assert abs(pair[0].mean() - pair[1].mean()) < 3
    plain = child.ask("plain", *more, "--seed", "4")
    assert child.ended("plain")["event"] == "done"
    assert plain.read_bytes() == made.read_bytes()


def test_latents_that_can_not_be_written_do_not_keep_the_clip_from_being_made(
    child: Child, tmp_path: Path
) -> None:
    child.ask("clip", latents=tmp_path / "lost")
    assert {step.latents for step in child.steps("clip")} == {None}
