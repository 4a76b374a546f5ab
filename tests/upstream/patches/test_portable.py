"""The group `portable`: no GPU needed, any size of Gemma 3, and no flag dropped."""

import copy
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ltx_pipelines
import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.root_config import stated_config
from ltx_pipelines.utils.helpers import cleanup_memory
from safetensors.torch import save_file

from tests.upstream.conftest import BASE, DATE
from verify.campaigns.gemma_encoder import text_encoders, write_checkpoint
from verify.upstream.process import Finished, Pipelines

from .conftest import PIPELINES, TINY_GEMMA, root_stating


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read as JSON"),
        ('{"model_type": "gemma3_text"}', "of type gemma3_text"),
        ("[]", "is not a JSON object"),
        ('{"model_type": "gemma3"}', "vision tower"),
    ],
)
def test_an_unusable_config_is_named(tmp_path: Path, text: str, says: str) -> None:
    root = root_stating(tmp_path / "gemma", None)
    (root / "config.json").write_text(text)
    with pytest.raises(GemmaRootError, match=says) as raised:
        stated_config(str(root))
    assert str(root) in str(raised.value)


@pytest.mark.revisions(since="2026-01-29", before="2026-08-11")
def test_upstream_reads_no_config_of_the_root_and_the_patched_tree_does(
    upstream: Pipelines, patched: Pipelines, tiny_gemma_root: Path, tmp_path: Path
) -> None:
    """What has the 12B's shapes loads in both; what config.json says of it counts in one."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint.safetensors", tiny_gemma_root)
    stated: dict[str, Any] = copy.deepcopy(TINY_GEMMA)
    stated["text_config"]["rope_scaling"]["factor"] = 4.0
    root = tmp_path / "gemma"
    shutil.copytree(tiny_gemma_root, root)
    (root / "config.json").write_text(json.dumps(stated))

    def loaded(pipelines: Pipelines) -> Finished:
        words = ["rope", str(root), str(checkpoint)]
        return pipelines.run("tests.upstream.patches.constructed", words)

    for pipelines, factor in ((upstream, 8.0), (patched, 4.0)):
        done = loaded(pipelines)
        assert done.code == 0, done.err
        assert json.loads(done.out) == factor
    (root / "config.json").write_text("{")
    assert json.loads(loaded(upstream).out) == 8.0
    refused = loaded(patched)
    assert refused.code != 0
    assert "cannot be read as JSON" in refused.err


@pytest.mark.revisions(before="2026-07-08")
@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without a GPU")
def test_enhancing_works_without_a_gpu_and_leaves_the_generator(
    tiny_gemma_root: Path, tmp_path: Path
) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint.safetensors", tiny_gemma_root)
    encoder = text_encoders(tiny_gemma_root, checkpoint).text_encoder()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = encoder.enhance_t2v("a red fox", max_new_tokens=8, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == encoder.enhance_t2v("a red fox", max_new_tokens=8, seed=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without a GPU")
def test_cleaning_up_works_without_a_gpu() -> None:
    cleanup_memory()


def test_no_script_waits_for_a_gpu_itself() -> None:
    waiting = {
        path.name
        for path in Path(ltx_pipelines.__path__[0]).rglob("*.py")
        if "cuda.synchronize" in path.read_text(encoding="utf-8")
    }
    # These look for CUDA beforehand, or need it to stream (blocks) and for several cards (fleet).
    assert waiting == {
        "2026-04-13": {"helpers.py", "gpu_model.py", "blocks.py"},
        "2026-05-28": {"helpers.py", "gpu_model.py"},
        "2026-08-03": {"fleet.py"},
        "1.2.0": {"fleet.py"},
    }.get(BASE, {"helpers.py"})


@pytest.mark.slow
def test_scripts_start_without_triton() -> None:
    """It comes with the CUDA builds of torch only."""
    program = 'import sys; sys.modules["triton"] = None; import ltx_pipelines.ti2vid_two_stages'
    subprocess.run([sys.executable, "-c", program], check=True)


class _Called(Exception):
    """Carries what a script handed its pipeline, and ends the script before any work."""


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("script", PIPELINES)
def test_each_script_passes_enhance_prompt_on(
    script: str, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"ltx_pipelines.{script}")
    (name,) = (
        n for n in vars(module) if "Pipeline" in n and vars(module)[n].__module__ == module.__name__
    )

    class Recorded:
        def __init__(self, **_: object) -> None: ...

        def __call__(self, **kwargs: object) -> None:
            raise _Called(kwargs)

    monkeypatch.setattr(module, name, Recorded)
    monkeypatch.setattr(sys, "argv", [script, *arguments_of(script, tmp_path)])
    if given:
        sys.argv.append("--enhance-prompt")
    with pytest.raises(_Called) as called:
        module.main()
    assert called.value.args[0]["enhance_prompt"] is given


def arguments_of(script: str, folder: Path) -> list[str]:
    """The arguments that `script` insists on; the files exist and are empty of weights."""
    checkpoint, lora = folder / "ltx.safetensors", folder / "lora.safetensors"
    save_file(
        {"x": torch.zeros(1)}, checkpoint, metadata={"model_version": "2.3.0", "config": "{}"}
    )
    save_file({"x": torch.zeros(1)}, lora)
    distilled = script in {"distilled", "ic_lora"}
    named_apart = distilled and DATE >= "2026-03-04"
    wanted = ["--prompt", "a fox", "--output-path", str(folder / "out.mp4")]
    option = "--distilled-checkpoint-path" if named_apart else "--checkpoint-path"
    wanted += [option, str(checkpoint)]
    wanted += ["--gemma-root", str(folder)]
    if script not in {"ti2vid_one_stage", "t2a_one_stage"}:
        wanted += ["--spatial-upsampler-path", str(lora)]
        if not distilled:
            wanted += ["--distilled-lora", str(lora)]
    if script == "ic_lora":
        (folder / "in.mp4").touch()
        wanted += ["--video-conditioning", str(folder / "in.mp4"), "1.0"]
    if script == "a2vid_two_stage":
        wanted += ["--audio-path", str(folder / "in.wav")]
    return wanted
