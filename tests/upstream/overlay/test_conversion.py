"""python -m ltx_pipelines.quantize_gemma, and what stands behind it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import (
    GemmaOutputError,
    GemmaRootError,
    conversion,
)
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method
from safetensors.torch import load_file

from tests.upstream.gemma_files import random_model, rewrite_shards, write_root
from tests.upstream.overlay.conftest import CPU, SIZE, MakeEncoders, methods
from verify.campaigns.gemma_reference import (
    assert_equal,
    from_pretrained,
    settings_for,
)
from verify.upstream.process import Finished, Pipelines


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@methods
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_the_output_opens_here_and_in_transformers(
    tmp_path: Path, make_encoders: MakeEncoders, method: Method, dtype: torch.dtype
) -> None:
    root = write_root(tmp_path / "in", random_model(SIZE, dtype=dtype), shard_size="200KB")
    before = contents(root)
    done = convert_root(root, tmp_path / "out", method, CPU)
    expected = from_pretrained(root, settings_for(method))
    assert_equal(from_pretrained(done.output), expected)
    assert_equal(make_encoders(done.output).text_encoder().model, expected)
    assert done.bytes_after < done.bytes_before
    assert contents(root) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "out"]
    assert {"tokenizer.json", "tokenizer.model", "preprocessor_config.json"} <= contents(
        done.output
    ).keys()


@methods
def test_many_shards_are_written_when_they_grow(
    bf16_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    whole = convert_root(bf16_root, tmp_path / "whole", method, CPU)
    monkeypatch.setattr(conversion, "_SHARD_BYTES", 150_000)
    split = convert_root(bf16_root, tmp_path / "split", method, CPU)
    assert (whole.shards, split.shards > 2) == (1, True)
    assert_equal(from_pretrained(split.output), from_pretrained(whole.output))
    weight_map = json.loads((split.output / "model.safetensors.index.json").read_text())[
        "weight_map"
    ]
    held = {
        name: file.name for file in split.output.glob("*.safetensors") for name in load_file(file)
    }
    assert weight_map == held


def test_tokenizer_and_processor_in_sibling_folders_come_along(
    bf16_root: Path, tmp_path: Path
) -> None:
    root = tmp_path / "in"
    shutil.copytree(bf16_root, root / "text_encoder")
    for name, files in {"tokenizer": "tokenizer*", "processor": "preprocessor_config.json"}.items():
        (root / name).mkdir()
        for file in (root / "text_encoder").glob(files):
            file.rename(root / name / file.name)
    done = convert_root(root, tmp_path / "out", NF4, CPU)
    assert contents(done.output).keys() >= {
        path.name for path in bf16_root.iterdir() if "model-" not in path.name
    }


def test_config_says_bfloat16_and_how_it_is_quantized(bf16_root: Path, tmp_path: Path) -> None:
    done = convert_root(bf16_root, tmp_path / "out", NF4, CPU)
    config = json.loads((done.output / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert set(config["quantization_config"]["llm_int8_skip_modules"]) == {
        "lm_head",
        "vision_tower",
        "multi_modal_projector",
        "model.vision_tower",
        "model.multi_modal_projector",
    }


# --- refusals, each before anything is written ---


@pytest.mark.parametrize("place", ["inside", "itself", "through a link", "exists", "under a file"])
def test_an_output_in_the_wrong_place_is_refused(
    bf16_root: Path, tmp_path: Path, place: str
) -> None:
    root = shutil.copytree(bf16_root, tmp_path / "in")
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    (tmp_path / "taken").mkdir()
    output, said = {
        "inside": (root / "deep" / "out", "lies inside"),
        "itself": (root, "lies inside"),
        "through a link": (tmp_path / "link" / "out", "lies inside"),
        "exists": (tmp_path / "taken", "exists already"),
        "under a file": (tmp_path / "in" / ".." / "file" / "out", "cannot be written"),
    }[place]
    (tmp_path / "file").write_text("")
    before = contents(tmp_path)
    with pytest.raises(GemmaOutputError, match=said):
        convert_root(root, output, NF4, CPU)
    assert contents(tmp_path) == before
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_full_disk_is_refused_before_work(
    bf16_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_planned_bytes", lambda _: 2**60)
    with pytest.raises(GemmaOutputError, match=r"GiB free where .* needed"):
        convert_root(bf16_root, tmp_path / "out", NF4, CPU)
    assert list(tmp_path.iterdir()) == []


@methods
def test_the_space_asked_for_is_enough_and_not_much_more(
    bf16_root: Path, tmp_path: Path, method: Method
) -> None:
    done = convert_root(bf16_root, tmp_path / "out", method, CPU)
    shards = conversion.read_shards(bf16_root)
    plan = conversion.make_plan(shards.tensors, method, conversion._stored_name)
    asked = sum(map(conversion._planned_bytes, plan.tensors))
    index = (done.output / "model.safetensors.index.json").stat().st_size
    assert done.bytes_after + index <= asked <= done.bytes_after + 5000 * len(plan.tensors)


def test_a_write_that_fails_leaves_nothing(bf16_root: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both fail in the midst of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(GemmaOutputError, match=r"out cannot be written \(File too large\)"):
            convert_root(bf16_root, tmp_path / "out", INT8, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_not_what_it_should_be_is_refused(bf16_root: Path, tmp_path: Path) -> None:
    quantized = convert_root(bf16_root, tmp_path / "quantized", NF4, CPU).output
    without_config = shutil.copytree(bf16_root, tmp_path / "without-config")
    (without_config / "config.json").unlink()
    without_tokenizer = shutil.copytree(bf16_root, tmp_path / "without-tokenizer")
    (without_tokenizer / "tokenizer.model").unlink()
    without_key = shutil.copytree(bf16_root, tmp_path / "without-key")
    tensors = {
        name: t for file in without_key.glob("*.safetensors") for name, t in load_file(file).items()
    }
    del tensors["language_model.model.norm.weight"]
    rewrite_shards(without_key, tensors, shards=1)
    foreign = shutil.copytree(bf16_root, tmp_path / "foreign")
    (foreign / "config.json").write_text('{"model_type": "something"}')
    silent = shutil.copytree(quantized, tmp_path / "silent")
    shutil.copy(bf16_root / "config.json", silent)
    before = contents(tmp_path)
    for root, said in {
        silent: "not quantized as its config.json says",
        quantized: "already quantized to 4bit",
        without_config: "has no config.json",
        without_tokenizer: "no tokenizer.model lies under",
        without_key: "lacks language_model.norm.weight",
        foreign: "describes no image-text model",
        tmp_path / "absent": "no model",
    }.items():
        with pytest.raises(GemmaRootError, match=said):
            convert_root(root, tmp_path / "out", INT8, CPU)
    assert contents(tmp_path) == before


# --- killed runs ---

# Kills itself just before the k-th time it touches the file system under the output's folder, for
# k = 1, 2, ... until a run survives or has published; prints how many were killed, having checked
# what each left behind. A first run elsewhere imports what the others inherit.
KILL_EVERYWHERE = """
import os, signal, sys
from pathlib import Path
import torch
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import NF4

root, folder, clean = map(Path, sys.argv[1:])
output = folder / "out"
convert_root(root, clean, NF4, torch.device("cpu"))

def die_at(count):
    def audit(event, args):
        nonlocal count
        touches = any(str(argument).startswith(str(folder)) for argument in args)
        if touches and event.split(".")[0] in ("open", "os", "shutil"):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(audit)

kills = 0
while True:
    child = os.fork()
    if child == 0:
        die_at(kills + 1)
        convert_root(root, output, NF4, torch.device("cpu"))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if output.exists():
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
    assert {path.name for path in folder.iterdir()} <= {".out.partial"}, kills
print(kills)
"""


@pytest.mark.slow
def test_a_run_killed_anywhere_leaves_no_output_and_the_next_one_finishes(
    bf16_root: Path, tmp_path: Path
) -> None:
    (folder := tmp_path / "folder").mkdir()
    arguments = [str(path) for path in (bf16_root, folder, tmp_path / "clean")]
    command = [sys.executable, "-c", KILL_EVERYWHERE, *arguments]
    done = subprocess.run(command, env=dict(os.environ), check=True, capture_output=True, text=True)
    assert int(done.stdout) > 20
    assert contents(folder / "out") == contents(tmp_path / "clean")
    assert [path.name for path in folder.iterdir()] == ["out"]


def test_two_runs_do_not_share_an_output(bf16_root: Path, tmp_path: Path) -> None:
    with conversion._staging(tmp_path / "out", 0) as staging:
        (staging / "mine").write_text("")
        with pytest.raises(GemmaOutputError, match="another run is writing"):
            convert_root(bf16_root, tmp_path / "out", NF4, CPU)
        assert (staging / "mine").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_script_converts_and_says_what_it_did(
    bf16_root: Path, tmp_path: Path, make_encoders: MakeEncoders, patched: Pipelines
) -> None:
    out = tmp_path / "out"

    def quantize(*flags: str) -> Finished:
        argv = ["--gemma-root", str(bf16_root), "--output", str(out), *flags]
        return patched.run("ltx_pipelines.quantize_gemma", argv)

    done = quantize("--8bit")
    assert done.code == 0
    assert f"{out}: 1 shard(s)" in done.out
    theirs = from_pretrained(bf16_root, settings_for(INT8))
    assert_equal(make_encoders(out).text_encoder().model, theirs)
    again = quantize("--8bit")
    assert (again.code, "Traceback" in again.err) == (GemmaOutputError.exit_code, False)
    assert again.last_line.endswith("out exists already; remove it, or give another output")
    assert quantize("--8bit", "--4bit").code == 2
