"""The service's judge and `run` are one gate: the same words, the same refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries import machine
from ltx2_patcher.boundaries.baselines import BASELINES
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.launch.script import find_script
from ltx2_patcher.jobs.models import model_files
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.rules.models.request import parse_argv, render_argv
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError, OutsideError, UsageError
from ltx2_service.boundaries.berth import Berth
from ltx2_service.jobs.judging import Judging
from ltx2_service.values.job import Picture, Wanted
from ltx2_service.values.refusals import UnknownModel
from ltx2_service.values.settings import Model, Settings
from tests.small_gpu import RTX_3090, write_nvidia_smi
from tests.small_repository import make_repository
from tests.small_wheels import make_environment
from tests.weight_files import RELEASED, plain, write, write_checkpoint, write_gemma

PROJECTION = "text_embedding_projection.aggregate_embed.weight"
WANTED = Wanted("--a cat", model="fast", seed=7)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Store:
    """A patched checkout and an environment beside it."""
    store = make_repository(tmp_path_factory.mktemp("ready") / "repository", published, base)
    make_environment(environment_path(store, base), base.environment)
    return store


@pytest.fixture
def model(tmp_path: Path, base: Base) -> Model:
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    write_gemma(tmp_path / "gemma")
    write(tmp_path / "upsampler.safetensors", plain(["post_upsample_res_blocks.0.conv1.weight"]))
    files = {
        "--distilled-checkpoint-path": tmp_path / "model.safetensors",
        "--gemma-root": tmp_path / "gemma",
        "--spatial-upsampler-path": tmp_path / "upsampler.safetensors",
    }
    return Model("fast", base.name, "distilled", files, flags=("--gemma-4bit",))


@pytest.fixture
def judging(ready: Store, model: Model, tmp_path: Path) -> Judging:
    settings = Settings((model,), tmp_path / "state", tmp_path / "clips", tree=ready.root)
    return Judging(settings)


def run_words(ready: Store, base: Base, model: Model, *more: str) -> tuple[str, ...]:
    """What `run` would start the script with."""
    script = find_script(ready, base, model.pipeline)
    files = [word for option, path in model.files.items() for word in (option, str(path))]
    request = parse_argv(script.target.pipeline, [*files, *model.flags, *more])
    return render_argv(script.target.pipeline, admit(request, script.target).request)


def test_its_words_are_those_that_run_starts_the_script_with(
    ready: Store, base: Base, model: Model, judging: Judging, tmp_path: Path
) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"png")  # the small environment has no Pillow to look into it
    judged = judging(replace(WANTED, num_frames=9, pictures=(Picture(picture, 8, 0.5),)))
    assert judged.argv == run_words(
        ready,
        base,
        model,
        *("--prompt=--a cat", "--seed", "7", "--width", "1536", "--height", "1024"),
        *("--num-frames", "9", "--frame-rate", "24.0", "--image", str(picture), "8", "0.5"),
        *("--vram-budget", "auto"),
    )
    assert (judged.width, judged.height, judged.num_frames) == (1536, 1024, 9)
    assert judged.frame_rate == 24 and judged.seed == 7


def test_what_renders_writes_prompts_out_where_that_is_asked_for(
    ready: Store, model: Model, tmp_path: Path
) -> None:
    for logs_prompts in (False, True):
        settings = Settings((model,), tmp_path / "state", tmp_path / "clips", tree=ready.root)
        judged = Judging(replace(settings, logs_prompts=logs_prompts))(WANTED)
        assert ("LTX2_HIDES_PROMPTS" in judged.renderer.variables) is not logs_prompts


def test_what_run_refuses_is_refused(judging: Judging) -> None:
    for wrong, words in (
        (replace(WANTED, num_frames=10), "8k\\+1"),
        (replace(WANTED, width=100), "divisible by 64"),
        (replace(WANTED, seed=2**65), "more than 64 bits"),
        (replace(WANTED, negative_prompt="fog"), "distilled has no negative_prompt"),
        (replace(WANTED, pictures=(Picture(Path("/none.png")),)), "no file"),
    ):
        with pytest.raises(UsageError, match=words):
            judging(wrong)
    with pytest.raises(UnknownModel, match="no model 'other'"):
        judging(replace(WANTED, model="other"))


def test_a_model_that_makes_no_clips_is_refused(ready: Store, model: Model, tmp_path: Path) -> None:
    unfit = replace(model, pipeline="quantize_gemma")
    judging = Judging(Settings((unfit,), tmp_path / "state", tmp_path / "clips", tree=ready.root))
    with pytest.raises(UsageError, match="quantize_gemma makes no video of a prompt"):
        judging(WANTED)


def test_files_and_series_are_looked_at_anew_when_they_change(
    ready: Store, base: Base, model: Model, judging: Judging
) -> None:
    first = judging(WANTED)
    assert judging(WANTED) == first
    tree = checkout_path(ready, base)
    path = tree / ready.lock(base.name).paths[0]
    before = path.read_bytes()
    path.write_bytes(before + b"\n# edited\n")
    edited = judging(WANTED)
    assert edited.series != first.series and edited.argv == first.argv
    path.write_bytes(before)
    assert judging(WANTED).series == first.series
    checkpoint = model.files["--distilled-checkpoint-path"]
    checkpoint.write_bytes(b"broken")
    with pytest.raises(InvalidError, match="model.safetensors"):
        judging(WANTED)
    checkpoint.unlink()
    with pytest.raises(UsageError, match="does not exist"):
        judging(WANTED)


def test_a_card_that_its_worker_has_taken_is_judged_as_a_whole(
    ready: Store,
    base: Base,
    model: Model,
    judging: Judging,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that begins anew beside warm workers takes what it took before; `run` does not."""
    monkeypatch.setattr(model_files, "mappable_bytes", lambda: None)  # this host may be smaller
    config = RELEASED["LTX-2 19B"]["config"]
    large = {"model.diffusion_model.more.weight": ("BF16", (100_000, 100_000))}
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3)), **large}
    write_checkpoint(model.files["--distilled-checkpoint-path"], tensors, config)
    row = {"pipeline": "distilled", "variant": "2.0", "width": 768, "height": 512, "frames": 121}
    measured = ready.root / BASELINES / "parked-1.2.0-a-card.json"
    measured.parent.mkdir(parents=True, exist_ok=True)
    measured.write_text(json.dumps({"base": "1.2.0", "needs": [{**row, "reserved_gib": 5.3}]}))
    taken = write_nvidia_smi(tmp_path / "bin", RTX_3090.replace("24100", "900"))
    monkeypatch.setenv("PATH", str(taken), prepend=os.pathsep)
    usual = ("--width", "768", "--height", "512", "--num-frames", "121", "--vram-budget", "auto")
    with pytest.raises(UsageError, match="takes about 5.3 GiB of the card"):
        run_words(ready, base, model, "--prompt", "a cat", *usual)
    assert "auto" in judging(replace(WANTED, width=768, height=512, num_frames=121)).argv


def test_host_memory_that_its_workers_hold_counts_as_free(
    ready: Store,
    base: Base,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that begins anew beside warm workers takes what it took before; `run` does not."""
    config = RELEASED["LTX-2 19B"]["config"]
    large = {"model.diffusion_model.more.weight": ("BF16", (16_384, 16_384))}  # 0.5 GiB
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3)), **large}
    write_checkpoint(model.files["--distilled-checkpoint-path"], tensors, config)
    container = tmp_path / "container"  # of 3 GiB, of which 2.25 are free
    container.mkdir()
    (container / "memory.max").write_text(f"{3 << 30}\n")
    (container / "memory.stat").write_text(f"anon {3 << 28}\nfile 0\nshmem 0\n")
    monkeypatch.setattr(machine, "_CONTAINER", container)
    parked = replace(model, vram_budget=4.0, host_budget=0.375)
    settings = Settings((parked,), tmp_path / "state", tmp_path / "clips", tree=ready.root)
    few = replace(WANTED, num_frames=9)
    refusal = "384.0 MiB of weights and 2.0 GiB for the process are more than the 2.2 GiB"
    with renderer_of(tmp_path / "elsewhere"), pytest.raises(OutsideError, match=refusal):
        Judging(settings)(few)
    with renderer_of(settings.state):
        words = Judging(settings)(few).argv
        assert words[words.index("--host-budget") + 1] == "0.375"
        usual = ("--prompt", "a cat", "--num-frames", "9", "--vram-budget", "4")
        with pytest.raises(OutsideError, match=refusal):
            run_words(ready, base, parked, *usual, "--host-budget", "0.375")


@contextmanager
def renderer_of(state: Path) -> Iterator[None]:
    """A process that a worker below `state` has started holds 256 MiB."""
    hold = "held = b'x' * (256 << 20); print('held', flush=True); input()"
    variables = {**os.environ, **Berth(state, "gpu0").mark}
    argv = [sys.executable, "-c", hold]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=variables, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()
