"""Weights, LoRAs and budgets that can not work are told before a model is loaded."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.baselines import BASELINES
from ltx2_patcher.boundaries.environment import Environment, describe
from ltx2_patcher.jobs.launch.batch import Batch, plan_batch
from ltx2_patcher.jobs.launch.script import find_script
from ltx2_patcher.jobs.models import looked as looking
from ltx2_patcher.jobs.models import model_files
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.target import Admitted
from ltx2_patcher.rules.models.architecture import checkpoint_keys, transformer_keys
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.rules.models.request import parse_argv, parse_mapping
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import (
    ConflictError,
    InvalidError,
    PatcherError,
    UsageError,
)
from tests.gguf_files import write_gguf
from tests.jobs.launch.conftest import LINEAR, PROJECTION, Case
from tests.small_gpu import RTX_3090, write_nvidia_smi
from tests.small_wheels import make_environment
from tests.weight_files import (
    RELEASED,
    TINY_GEMMA,
    lora_of,
    packed_gemma,
    plain,
    write,
    write_checkpoint,
    write_gemma,
)

LTX_2 = RELEASED["LTX-2 19B"]["config"]


def test_a_lora_that_this_tree_would_leave_out_is_refused(case: Case) -> None:
    """As in a tree that is patched up to an earlier group."""
    pairs = lora_of("transformer.transformer_blocks.0.attn1.to_q")
    lora = write(case.folder / "diffusers.safetensors", pairs)
    target = find_script(case.store, case.base, "distilled").target
    request = parse_argv(target.pipeline, [*case.right, "--lora", str(lora)])
    assert admit(request, target).warnings == ()
    less = replace(target.abilities, can=target.abilities.can - {"any-lora-layout"})
    with pytest.raises(ConflictError, match="left out in silence") as caught:
        admit(request, replace(target, abilities=less))
    assert caught.value.remedy.endswith("`ltx2-patcher apply --base 1.0.0`")


def test_a_gemma_that_can_not_be_loaded_is_refused(case: Case, tmp_path: Path) -> None:
    for shard in (tmp_path / "gemma").glob("*-00002-*"):
        shard.rename(shard.with_name("renamed.safetensors"))
    with pytest.raises(InvalidError, match="model-00002-of-00002"):
        case.prepare()
    write_gemma(tmp_path / "less", plain(list(gemma_keys(TINY_GEMMA))[1:]))
    with pytest.raises(InvalidError, match="lacks"):
        case.prepare("--gemma-root", str(tmp_path / "less"))


def test_files_of_other_programs_are_refused_with_the_command_that_converts_them(
    case: Case, tmp_path: Path
) -> None:
    bare = [name.removeprefix("model.diffusion_model.") for name in transformer_keys(LTX_2)]
    comfy = write(tmp_path / "comfy.safetensors", plain(bare))
    given = {
        "--gemma-root": write_gguf(
            tmp_path / "a.gguf", "gemma3", {"token_embd.weight": ("Q8_0", (2, 32))}
        ),
        "--distilled-checkpoint-path": comfy,
    }
    for option, path in given.items():
        with pytest.raises(UsageError, match="which no pipeline takes as it is") as caught:
            case.prepare(option, str(path))
        assert f"`ltx2-patcher run convert -- {path} " in caught.value.remedy
    with pytest.raises(UsageError, match="--lora: .* is a Gemma 3"):
        case.prepare("--lora", str(given["--gemma-root"]))


def test_a_gemma_for_another_checkpoint_is_refused(case: Case, tmp_path: Path) -> None:
    text = {"hidden_size": 128, "num_hidden_layers": 2}
    write_gemma(tmp_path / "wider", text_config=text)
    with pytest.raises(ConflictError, match=r"takes 192 values a token.* gives 384"):
        case.prepare("--gemma-root", str(tmp_path / "wider"))


def test_what_another_base_loads_is_named_with_the_base(case: Case, tmp_path: Path) -> None:
    packed = write(tmp_path / "packed.safetensors", *packed_gemma())
    config = RELEASED["LTX-2.5 22B"]["config"]
    later = tmp_path / "later.safetensors"
    write_checkpoint(later, plain(transformer_keys(config)), config)
    for option, path in (("--gemma-root", packed), ("--distilled-checkpoint-path", later)):
        with pytest.raises(UsageError) as caught:
            case.prepare(option, str(path))
        assert "or base 1.2.0" in caught.value.remedy


def test_an_upsampler_of_another_model_is_refused(case: Case, tmp_path: Path) -> None:
    tensors = plain(["post_upsample_res_blocks.0.conv1.weight"])
    path = write(tmp_path / "other.safetensors", tensors, {"model_version": "2.3.0"})
    with pytest.raises(ConflictError, match=r"upsampler of LTX-2\.3"):
        case.prepare("--spatial-upsampler-path", str(path))


def test_the_scales_of_prequantized_weights_are_never_lost(case: Case, tmp_path: Path) -> None:
    block = "model.diffusion_model.transformer_blocks.0.attn1.to_q"
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {
        **plain(checkpoint_keys(config)),
        PROJECTION: ("BF16", (4, 64 * 3)),
        f"{block}.weight": ("F8_E4M3", (2, 2)),
        f"{block}.weight_scale": ("F32", ()),
    }
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    case.prepare("--quantization", "fp8-cast")
    with pytest.raises(UsageError) as caught:
        case.prepare()
    assert caught.value.remedy == "add --quantization fp8-cast"


def test_a_lora_beside_plain_fp8_needs_fp8_cast(case: Case, tmp_path: Path) -> None:
    blocks = "model.diffusion_model.transformer_blocks.0.attn1"
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {
        **plain(checkpoint_keys(config)),
        PROJECTION: ("BF16", (4, 64 * 3)),
        f"{blocks}.to_q.weight": ("F8_E4M3", (2, 2)),
        f"{blocks}.to_k.weight": ("F8_E4M3", (2, 2)),
    }
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    case.prepare()
    lora = str(tmp_path / "lora.safetensors")
    case.prepare("--lora", lora, "0")
    case.prepare("--lora", lora, "--quantization", "fp8-cast")
    with pytest.raises(
        UsageError, match=r"leaves .*\.to_k.weight of the checkpoint in fp8"
    ) as caught:
        case.prepare("--lora", lora)
    assert caught.value.remedy == "add --quantization fp8-cast"


def test_a_quantized_root_needs_its_own_flag_and_bitsandbytes(
    case: Case, base: Base, tmp_path: Path
) -> None:
    packed = {
        **plain(gemma_keys(TINY_GEMMA)),
        f"{LINEAR}.weight": ("I8", (2, 2)),
        f"{LINEAR}.SCB": ("F32", (2,)),
    }
    root = str(write_gemma(tmp_path / "packed", packed))
    case.prepare("--gemma-root", root, "--gemma-8bit")
    with pytest.raises(UsageError, match="quantized already"):
        case.prepare("--gemma-root", root, "--gemma-4bit")
    pins = {name: v for name, v in base.environment.items() if name != "bitsandbytes"}
    python = make_environment(tmp_path / "env", pins)
    case.prepare(python=python)
    with pytest.raises(ConflictError, match="bitsandbytes is not installed"):
        case.prepare("--gemma-root", root, python=python)


def test_a_mapping_passes_the_same_gate(case: Case) -> None:
    """As a service takes it: JSON in, one sentence and its remedy out."""
    script = find_script(case.store, case.base, "distilled")
    right = dict(zip(case.right[::2], case.right[1::2], strict=True))
    asked = {option[2:].replace("-", "_"): value for option, value in right.items()}
    mapping = json.loads(json.dumps({**asked, "num_frames": 121, "gemma_4bit": True}))
    request = parse_mapping(script.target.pipeline, mapping)
    launch = script.launch(admit(request, script.target).request, {})
    assert launch == case.prepare("--num-frames", "121", "--gemma-4bit")
    for wrong, told in (
        ({"num_frames": 120}, "8k+1"),
        ({"image": [["none.png", 0, 1.0]]}, "there is no file none.png"),
        ({"gemma_root": str(case.folder / "none")}, "is not a folder"),
    ):
        with pytest.raises(UsageError) as caught:
            admit(parse_mapping(script.target.pipeline, {**mapping, **wrong}), script.target)
        assert told in str(caught.value)
        assert caught.value.remedy


def test_requests_that_come_together_are_judged_as_one_by_one(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the environment is looked at once."""
    script = find_script(case.store, case.base, "distilled")
    pipeline = script.target.pipeline
    requests = [
        parse_argv(pipeline, [*case.right, "--seed", str(seed), *more])
        for seed, more in enumerate(([], ["--num-frames", "12"], ["--image", "no.png", "0", "1"]))
    ]
    asked: list[Path] = []

    def noted(python: Path) -> Environment:
        asked.append(python)
        return describe(python)

    monkeypatch.setattr(looking, "describe", noted)

    def judged(looked: Looked | None) -> list[object]:
        found: list[object] = []
        for request in requests:
            try:
                found.append(admit(request, script.target, looked))
            except PatcherError as error:
                found.append((type(error), str(error), error.remedy))
        return found

    alone = judged(None)
    asked.clear()
    looked = Looked(script.target)
    looked.ahead(requests)
    assert judged(looked) == alone
    assert len(asked) == 1


def test_weights_that_host_memory_does_not_hold_are_warned_of(case: Case) -> None:
    script = find_script(case.store, case.base, "distilled")

    def admitted(*more: str) -> Admitted:
        return admit(parse_argv(script.target.pipeline, [*case.right, *more]), script.target)

    assert admitted().host is None
    free = admitted("--vram-budget", "6.5", "--host-budget", "1")
    assert free.host is not None and not free.host.on_disk_bytes
    assert free.warnings == admitted().warnings
    short = admitted("--vram-budget", "6.5", "--host-budget", "1e-06")
    assert short.host is not None and short.host.room_bytes == 1073
    (told,) = set(short.warnings) - set(free.warnings)
    assert "of weights have no room in host memory" in told.fact
    assert "more of host memory" in str(told.remedy)


def test_a_budget_that_is_too_small_for_the_clip_is_told_before_anything_loads(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "mappable_bytes", lambda: None)  # this host may be smaller
    config = RELEASED["LTX-2 19B"]["config"]
    large = {"model.diffusion_model.more.weight": ("BF16", (100_000, 100_000))}
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3)), **large}
    write_checkpoint(case.folder / "model.safetensors", tensors, config)
    row = {"pipeline": "distilled", "variant": "2.0", "width": 768, "height": 512, "frames": 121}
    baseline = {"base": "1.2.0", "needs": [{**row, "reserved_gib": 5.3}]}
    measured = case.store.root / BASELINES / "parked-1.2.0-a-card.json"
    measured.parent.mkdir(parents=True, exist_ok=True)
    measured.write_text(json.dumps(baseline))
    write_nvidia_smi(case.folder / "bin", RTX_3090)
    monkeypatch.setenv("PATH", str(case.folder / "bin"), prepend=os.pathsep)
    usual = ("--width", "768", "--height", "512", "--num-frames", "121", "--host-budget", "0.01")
    case.prepare(*usual, "--vram-budget", "5.3")
    with pytest.raises(UsageError, match="takes about 5.3 GiB of the card") as caught:
        case.prepare(*usual, "--vram-budget", "5")
    assert caught.value.remedy.startswith("give --vram-budget 5.3, or ")
    write_nvidia_smi(case.folder / "bin", RTX_3090.replace("24100", "5900"))
    with pytest.raises(UsageError, match="5.0 GiB of it are free"):
        case.prepare(*usual, "--vram-budget", "auto")
    script = find_script(case.store, case.base, "distilled")
    request = parse_argv(script.target.pipeline, [*case.right, *usual, "--vram-budget", "22.8"])
    told = [warning.fact for warning in admit(request, script.target).warnings]
    assert any("--vram-budget allows 22.8 GiB" in fact for fact in told)
    measured.unlink()
    case.prepare(*usual, "--vram-budget", "5")
    request = parse_argv(script.target.pipeline, [*case.right, *usual])
    facts = {warning.fact: warning.remedy for warning in admit(request, script.target).warnings}
    (remedy,) = (facts[fact] for fact in facts if fact.startswith("denoising takes about "))
    assert str(remedy).startswith("give --vram-budget auto")


def test_a_batch_keeps_its_weights_where_host_memory_holds_them(case: Case) -> None:
    script = find_script(case.store, case.base, "distilled")
    file = case.folder / "clips.jsonl"
    file.write_text('{"seed": 1}\n{"seed": 2}\n')

    def planned(*more: str) -> Batch:
        return plan_batch(script, case.base.name, [*case.right, *more], file, resume=False)

    batch = planned("--host-budget", "1")
    assert (batch.parks, batch.holds_too_little) == (True, None)
    assert all("--vram-budget" in clip.argv for clip in batch.clips)
    batch = planned("--host-budget", "1e-06")
    assert not batch.parks and "have no room in host memory" in str(batch.holds_too_little)
    assert not any("--vram-budget" in clip.argv or clip.warnings for clip in batch.clips)
    batch = planned("--host-budget", "1e-06", "--vram-budget", "6.5")
    assert (batch.parks, batch.holds_too_little) == (False, None)
    assert all("--vram-budget" in clip.argv and clip.warnings for clip in batch.clips)
