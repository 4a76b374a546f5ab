"""The whole service with the real scripts, from its command line: what `make demo` starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ltx2_patcher.boundaries.interpreter import answer_of
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_path
from tests.conftest import ROOT
from tests.service.boundaries.test_stills import TELL

SIZE = {"width": 128, "height": 128, "num_frames": 9, "frame_rate": 24.0, "seed": 3}
PROMPT = "A red fox crosses a snowy clearing."


def tool(*words: str, check: bool = True) -> str:
    """What the tool prints."""
    done = subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def weights(base: str, folder: Path) -> Path:
    """A tiny file set, made in the environment of a base."""
    python = environment_path(Store(ROOT), Store(ROOT).base(base)) / "bin/python"
    if not python.exists():
        pytest.skip(f"there is no environment of {base}: make install BASE={base}")
    argv = (str(python), "-m", "verify.synthetic", str(folder), "--variant", "2.3")
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("base", ["1.0.0", pytest.param("1.2.0", marks=pytest.mark.slow)])
def test_a_clip_is_what_run_makes(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = weights(base, tmp_path / "weights")
    file = tmp_path / "serve.toml"
    text = (ROOT / "ltx2_service/demo.toml").read_text().replace('"1.0.0"', f'"{base}"')
    file.write_text(
        text.replace("../vendor/demo/weights", str(files)).replace("../vendor/demo/", "")
    )
    findings = json.loads(tool("serve", "check", "--config", str(file), "--port", "0", "--json"))
    assert {one["subject"] for one in findings} >= {"address", "state", "demo", "demo-two-stages"}
    assert not [one for one in findings if one["level"] == "failure"]
    there = json.loads(tool("serve", "start", "--config", str(file), "--port", "0", "--json"))
    try:
        asked = {"prompt": PROMPT, **SIZE}
        answer = httpx.post(f"{there['url']}/generate/text2video", json=asked, timeout=300)
        assert answer.status_code == 200, answer.text
        clip = Path(answer.json()["video_path"])
        tagged = httpx.get(
            f"{there['url']}{answer.json()['video_url']}", params={"metadata": 1}, timeout=300
        )
        (tmp_path / "tagged.mp4").write_bytes(tagged.content)
        row = httpx.get(f"{there['url']}/v1/videos/{answer.json()['task_id']}").json()
        status = json.loads(tool("serve", "status", "--config", str(file), "--json"))
        assert status["pid"] == there["pid"]
        assert status["health"]["status"] == "healthy"
        assert "<!doctype html>" in httpx.get(there["url"]).text
    finally:
        tool("serve", "stop", "--config", str(file))
    colours = list((tmp_path / "cache/ltx2-patcher/previews").iterdir())
    assert [path.suffix for path in colours] == [".npy"]  # what its decoder makes of latents
    options = {
        "distilled-checkpoint-path": files / "checkpoint.safetensors",
        "spatial-upsampler-path": files / "spatial_upsampler.safetensors",
        "gemma-root": files / "gemma",
        "vram-budget": "auto",
        "prompt": PROMPT,
        "output-path": tmp_path / "run.mp4",
        **{name.replace("_", "-"): value for name, value in SIZE.items()},
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    tool("run", "distilled", "--base", base, "--", *words)
    assert clip.read_bytes() == (tmp_path / "run.mp4").read_bytes()
    python = environment_path(Store(ROOT), Store(ROOT).base(base)) / "bin/python"
    plain, told = (
        json.loads(answer_of(python, TELL, str(path))) for path in (clip, tmp_path / "tagged.mp4")
    )
    assert told["packets"] == plain["packets"]  # of pictures and of sound
    inside = json.loads(told["comment"])
    same = inside.keys() & row.keys()
    assert same >= {"id", "prompt", "model", "seed", "num_frames", "frame_rate", "pictures"}
    assert {key: inside[key] for key in same} == {key: row[key] for key in same}
    assert (inside["width"], inside["height"]) == (SIZE["width"], SIZE["height"])
    assert json.loads(clip.with_suffix(".json").read_text()).items() >= inside.items()
