"""The verbs as people type them: output, exit codes, signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.values.base import Base
from tests.gguf_files import write_gguf
from tests.small_gpu import RTX_3090, write_nvidia_smi
from tests.small_repository import make_repository, patcher
from tests.small_wheels import make_environment, only_from
from tests.weight_files import plain, write, write_gemma

PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Path:
    """The repository after `make patch` and `make install`."""
    root = tmp_path_factory.mktemp("cli") / "repository"
    store = make_repository(root, published, base)
    make_environment(store.vendor / f"env-{base.name}", base.environment)
    return root


def test_help_is_light(root: Path) -> None:
    code = (
        "import sys\n"
        "from ltx2_patcher.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'git', 'unidiff', 'rich', 'torch', 'json', 'pathlib'} & set(sys.modules)))\n"
    )
    for verb in ("install", "run", "doctor", "inspect"):
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, verb, "--help"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"
        assert f"usage: ltx2-patcher {verb}" in done.stdout


def test_run_without_a_name_lists(root: Path) -> None:
    done = patcher(root, "run", **PATH)
    assert done.returncode == 0
    assert "distilled               Two-stage distilled video generation pipeline." in done.stdout
    listed = json.loads(patcher(root, "run", "--json", **PATH).stdout)
    assert {"name": "echo", "summary": "Tell how it was started.", "divisor": None} in listed


def test_run_passes_arguments_variables_and_the_exit_code(root: Path, tmp_path: Path) -> None:
    write_nvidia_smi(tmp_path / "bin", RTX_3090)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "OURS": "kept"}
    asked = "OURS,CUDA_VISIBLE_DEVICES,PYTORCH_CUDA_ALLOC_CONF"
    done = patcher(
        root, "run", "echo", "--gpu", "0", "--", "--tell", asked, "--prompt", "a b", "--more", **env
    )
    assert done.returncode == 7, done.stderr
    told, arguments = json.loads(done.stdout)
    assert told == {
        "OURS": "kept",
        "CUDA_VISIBLE_DEVICES": "0",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
    assert arguments == ["--prompt", "a b", "--tell", asked, "--more"]


def test_a_dry_run_says_what_would_be_run(root: Path) -> None:
    done = patcher(root, "run", "--dry-run", "distilled", "--", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("-m ltx_pipelines.distilled --help")


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_passes_signals(root: Path, number: signal.Signals) -> None:
    words = ["run", "echo", "--", "--tell", "HOME", "--sleep"]
    with subprocess.Popen(
        [sys.executable, "-m", "ltx2_patcher", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        child.send_signal(number)
        assert child.wait(timeout=30) == -number


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--batch", "a.jsonl"], "--batch needs the NAME of a pipeline"),
        (["run", "distilled", "--resume"], "--resume goes with --batch"),
    ],
)
def test_options_of_a_batch_go_together(root: Path, arguments: list[str], told: str) -> None:
    done = patcher(root, *arguments, **PATH)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"ltx2-patcher run: error: {told}"


def test_every_fault_of_a_batch_is_told_and_its_commands_are_shown(
    root: Path, tmp_path: Path
) -> None:
    batch = tmp_path / "a.jsonl"
    batch.write_text('{"num-frames": 12}\n[]\n{"image": [["none.png", 0, 1.0]]}\n')
    common = ["--", "--output-path", str(tmp_path / "clip.mp4"), "--seed", "1"]
    done = patcher(root, "run", "distilled", "--batch", str(batch), *common, **PATH)
    assert (done.returncode, done.stdout) == (2, "")
    rows = [line for line in done.stderr.splitlines() if line.startswith("  line ")]
    assert rows == [
        "  line 1: --num-frames 12 is not of the form 8k+1",
        "  line 2: [] is no JSON object",
        "  line 3: --image: there is no file none.png",
    ]
    batch.write_text('{"seed": 2}\n\n{"prompt": "a fox"}\n')
    done = patcher(root, "run", "distilled", "--dry-run", "--batch", str(batch), *common, **PATH)
    assert done.returncode == 0, done.stderr
    one, other = done.stdout.splitlines()
    assert f"--output-path {tmp_path / 'clip-001.mp4'} --seed 2 --vram-budget auto" in one
    assert f"{tmp_path / 'clip-003.mp4'} --seed 1 --prompt 'a fox'" in other
    assert list(tmp_path.iterdir()) == [batch]


@pytest.mark.parametrize(
    ("arguments", "code", "remedy"),
    [
        (["run", "distiled"], 2, "choose distilled"),
        (["run", "distilled", "--", "--num-frames", "12"], 2, "give 9 or 17"),
        (["run", "distilled", "--", "--gemma-4bit", "--gemma-8bit"], 2, "give one"),
        (["run", "distilled", "--python", "/nowhere"], 2, "bin/python"),
        (["run", "distilled", "--base", "1.0"], 2, "1.0.0"),
        (["run", "distilled", "--batch", "/nowhere"], 2, "check the path"),
        (["run", "distilled", "--batch", "/"], 2, "a file with one JSON object a line"),
        (["run", "distilled", "--batch", "/dev/null"], 2, "one JSON object a line"),
        (["run", "distilled", "--batch", "/nowhere", "--", "--num-framez", "9"], 2, "num_frames"),
        (["run", "echo", "--batch", "/nowhere"], 2, "without --batch"),
        (["install", "--python", "/nowhere"], 2, "bin/python"),
        (["inspect", "/nowhere"], 2, "check the path"),
    ],
)
def test_bad_input_is_a_sentence_and_its_exit_code(
    root: Path, arguments: list[str], code: int, remedy: str
) -> None:
    done = patcher(root, *arguments, **PATH)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    told, to_do = done.stderr.splitlines()
    assert told.startswith("ltx2-patcher: ")
    assert remedy in to_do


def test_only_run_takes_arguments_for_others(root: Path) -> None:
    done = patcher(root, "inspect", "a", "--", "b", **PATH)
    assert done.returncode == 2
    assert "only `run` passes arguments on: b" in done.stderr


def test_install_says_what_it_does_and_that_nothing_is_left(
    root: Path, base: Base, tmp_path: Path
) -> None:
    pins = {name: v for name, v in base.environment.items() if name != "bitsandbytes"}
    theirs = make_environment(tmp_path / "theirs", pins)
    env = {**PATH, **only_from(theirs.parents[1] / "wheels")}
    missing = patcher(root, "install", "--python", theirs, **env)
    assert missing.returncode == 4
    assert "index has no bitsandbytes==" in missing.stderr
    planned = patcher(root, "install", "--python", theirs, "--dry-run", "--json", **env)
    assert json.loads(planned.stdout)["added"] == [
        f"bitsandbytes=={base.environment['bitsandbytes']}"
    ]
    whole = make_environment(tmp_path / "whole", base.environment)
    done = patcher(root, "install", "--python", whole, **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nothing to do: ")


def test_doctor_fails_with_4_and_tells_all(root: Path) -> None:
    done = patcher(root, "doctor", "--python", "/nowhere", **PATH)
    assert done.returncode == 4
    assert "failure  environment" in done.stdout
    assert "to do: name the environment's bin/python" in done.stdout
    told = patcher(root, "doctor", "--python", "/nowhere", "--json", **PATH)
    assert told.returncode == 4
    levels = {finding["subject"]: finding["level"] for finding in json.loads(told.stdout)}
    assert levels["environment"] == "failure"
    assert levels["git"] == "ok"


def test_inspect_prints_parts_and_what_is_missing(root: Path, tmp_path: Path) -> None:
    gemma = write_gemma(tmp_path / "gemma")
    done = patcher(root, "inspect", gemma, **PATH)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "Gemma 3 64 wide, 2 layers, bf16, 408 B in 2 shards"
    assert done.stdout.splitlines()[-2:] == [
        "complete, as base 1.0.0 expects it",
        "serves as --gemma-root",
    ]
    small = write_gemma(tmp_path / "small", plain(["language_model.model.norm.weight"]))
    done = patcher(root, "inspect", small, **PATH)
    assert "  missing  and 38 more (--json has them all)" in done.stdout
    assert "base 1.0.0 can't load it" in done.stdout
    assert (
        len(json.loads(patcher(root, "inspect", small, "--json", **PATH).stdout)["missing"]) == 50
    )


def test_inspect_names_the_command_for_a_file_of_another_program(
    root: Path, tmp_path: Path
) -> None:
    names = ["audio_patchify_proj.weight", "transformer_blocks.0.attn1.to_q.weight"]
    path = write_gguf(tmp_path / "a.gguf", "ltxv", dict.fromkeys(names, ("Q8_0", (2, 32))))
    done = patcher(root, "inspect", path, **PATH)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "transformer of LTX-2 19B, GGUF, mostly Q8_0, 136 B"
    assert lines[-2].startswith(f"base 1.0.0 can't load it: {path} is the transformer")
    assert f"`ltx2-patcher run convert -- {path} --output OUT.safetensors --to bf16`" in lines[-1]


def test_inspect_refuses_what_is_torn(root: Path, tmp_path: Path) -> None:
    torn = write(tmp_path / "torn.safetensors", plain(["a"]))
    torn.write_bytes(torn.read_bytes()[:-1])
    done = patcher(root, "inspect", torn, "--json", **PATH)
    assert done.returncode == 5
    assert json.loads(done.stdout)["exit_code"] == 5
