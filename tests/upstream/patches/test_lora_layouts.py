"""A LoRA gives the same weights in whichever layout it was saved, with its alphas."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP, LoraPathStrengthAndSDOps
from ltx_core.loader.lora_layouts import in_any_layout
from ltx_core.loader.lora_names import DIFFUSERS, loader_names
from ltx_core.loader.sd_ops import SDOps
from safetensors.torch import save_file

from verify.upstream.process import Pipelines

from .conftest import save_checkpoint
from .fp8 import Ledger, in_fp8, ledger

Tensors = dict[str, torch.Tensor]
MODULES = (
    "transformer_blocks.1.attn1.to_q",
    "transformer_blocks.0.audio_to_video_attn.to_out.0",
    "transformer_blocks.1.audio_ff.net.0.proj",
    "patchify_proj",
    "adaln_single.linear",
    "av_ca_a2v_gate_adaln_single.emb.timestep_embedder.linear_1",
    "proj_out",
)
RANK = 2
OWN = "diffusion_model."  # what upstream takes out


@pytest.fixture(scope="module")
def checkpoint(tiny_transformer: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("bf16") / "it.safetensors", tiny_transformer)


@pytest.fixture(scope="module")
def lora(tiny_transformer: Tensors) -> Tensors:
    """{`MODULE.lora_A.weight` and `MODULE.lora_B.weight`: matrix}."""
    torch.manual_seed(3)
    made = {}
    for module in MODULES:
        out, into = tiny_transformer[f"{module}.weight"].shape
        made[f"{module}.lora_A.weight"] = (torch.randn(RANK, into) * 0.1).to(torch.bfloat16)
        made[f"{module}.lora_B.weight"] = (torch.randn(out, RANK) * 0.1).to(torch.bfloat16)
    return made


def given(path: Path, strength: float = 0.7) -> tuple[LoraPathStrengthAndSDOps, ...]:
    return (LoraPathStrengthAndSDOps(str(path), strength, LTXV_LORA_COMFY_RENAMING_MAP),)


def weights(built: Ledger) -> Tensors:
    state: Tensors = built.transformer().velocity_model.state_dict()
    return state


def fused(checkpoint: Path, tensors: Tensors, folder: Path) -> Tensors:
    save_file(tensors, folder / "lora.safetensors")
    return weights(ledger(checkpoint).with_loras(given(folder / "lora.safetensors")))


def assert_same(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def in_diffusers(key: str) -> str:
    outermost, dot, inner = key.partition(".")
    return f"{DIFFUSERS.get(outermost, outermost)}{dot}{inner}"


def kohyas(key: str) -> str:
    module, _, part = key.rpartition(".lora_")
    role = "down" if part.startswith("A") else "up"
    return f"{module.replace('.', '_')}.lora_{role}.weight"


def old_diffusers(key: str) -> str:
    return key.replace("lora_A", "lora.down").replace("lora_B", "lora.up")


LAYOUTS: dict[str, Callable[[str], str]] = {
    "upstream": lambda key: OWN + key,
    "bare": lambda key: key,
    "a checkpoint's prefix": lambda key: f"model.{OWN}{key}",
    "transformer": lambda key: f"transformer.{key}",
    "diffusers": lambda key: f"transformer.{in_diffusers(key)}",
    "diffusers of old": lambda key: f"transformer.{old_diffusers(in_diffusers(key))}",
    "PEFT": lambda key: f"base_model.model.{key}",
    "PEFT of the whole": lambda key: f"base_model.model.{OWN}{key}",
    "an adapter's name": lambda key: OWN + key.replace(".weight", ".default.weight"),
    "down and up": lambda key: (
        OWN + key.replace("lora_A", "lora_down").replace("lora_B", "lora_up")
    ),
    "kohya": lambda key: f"lora_unet_{kohyas(key)}",
    "kohya for diffusers": lambda key: f"lora_transformer_{kohyas(in_diffusers(key))}",
    "LyCORIS": lambda key: f"lycoris_{kohyas(key)}",
}


@pytest.fixture(scope="module")
def meant(checkpoint: Path, lora: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Tensors:
    """Fused by upstream's own names, with sd_ops that ours leave alone."""
    path = tmp_path_factory.mktemp("own") / "lora.safetensors"
    save_file({OWN + key: value for key, value in lora.items()}, path)
    own = SDOps("a caller's own", LTXV_LORA_COMFY_RENAMING_MAP.mapping)
    return weights(ledger(checkpoint).with_loras((LoraPathStrengthAndSDOps(str(path), 0.7, own),)))


@pytest.mark.core
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_weights_of_upstreams_own(
    layout: str, checkpoint: Path, lora: Tensors, meant: Tensors, tmp_path: Path
) -> None:
    plain = weights(ledger(checkpoint))
    changed = [key for key in plain if not torch.equal(plain[key], meant[key])]
    assert sorted(changed) == sorted(f"{module}.weight" for module in MODULES)
    named = {LAYOUTS[layout](key): value for key, value in lora.items()}
    assert_same(fused(checkpoint, named, tmp_path), meant)


@pytest.mark.core
@pytest.mark.parametrize("layout", ["upstream", "diffusers", "kohya"])
def test_b_counts_alpha_by_rank_times(
    layout: str, checkpoint: Path, lora: Tensors, tmp_path: Path
) -> None:
    """Reckoned in float32 and rounded to B's own dtype, as the same LoRA would be without alpha."""
    alphas = {module: 0.3 * number for number, module in enumerate(MODULES, start=1)}
    named = {LAYOUTS[layout](key): value for key, value in lora.items()}
    scaled = dict(lora)
    for module, alpha in alphas.items():
        up = f"{module}.lora_B.weight"
        stem = LAYOUTS[layout](up).rsplit(".lora", 1)[0]
        named[f"{stem}.alpha"] = torch.tensor(alpha)
        factor = torch.tensor(alpha).item() / RANK
        scaled[up] = (lora[up].float() * factor).to(torch.bfloat16)
    expected = fused(checkpoint, {OWN + key: value for key, value in scaled.items()}, tmp_path)
    assert_same(fused(checkpoint, named, tmp_path), expected)


def test_an_alpha_that_is_the_rank_changes_nothing(
    checkpoint: Path, lora: Tensors, meant: Tensors, tmp_path: Path
) -> None:
    named = {f"lora_unet_{kohyas(key)}": value for key, value in lora.items()}
    named |= {f"{key.split('.')[0]}.alpha": torch.tensor(float(RANK)) for key in named}
    assert_same(fused(checkpoint, named, tmp_path), meant)


def test_a_lora_is_fused_into_fp8_in_any_layout(
    checkpoint: Path, lora: Tensors, tmp_path: Path
) -> None:
    built = ledger(checkpoint, **in_fp8(checkpoint))
    seen = []
    for layout in ("upstream", "kohya"):
        path = tmp_path / f"{layout}.safetensors"
        save_file({LAYOUTS[layout](key): value for key, value in lora.items()}, path)
        seen.append(weights(built.with_loras(given(path))))
    one, other = seen
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value.float(), other[key].float()), key


def test_every_linear_layer_has_a_name_of_its_own_in_each_layout(
    tiny_transformer: Tensors,
) -> None:
    modules = [
        key.removesuffix(".weight")
        for key, value in tiny_transformer.items()
        if key.endswith(".weight") and value.dim() == 2
    ]
    for name, spell in LAYOUTS.items():
        keys = [f"{module}.lora_{half}.weight" for module in modules for half in "AB"]
        assert loader_names(map(spell, keys), modules) == {spell(key): key for key in keys}, name


def test_what_does_not_change_the_model_is_logged(
    checkpoint: Path, lora: Tensors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = {
        f"{OWN}{place}.{n}.attn1.to_q.lora_{half}.weight": torch.zeros(2, 2)
        for place in ("video_embeddings_connector", "transformer_blocks")
        for n in (7, 8)
        for half in "AB"
    }
    with caplog.at_level(logging.WARNING):
        fused(
            checkpoint, {**{OWN + key: value for key, value in lora.items()}, **strange}, tmp_path
        )
    (said,) = [r.getMessage() for r in caplog.records if "lora.safetensors" in r.getMessage()]
    assert f"{len(lora)} of {len(lora) + 8} tensors change this model; left out: " in said
    assert f"{OWN}video_embeddings_connector.N.attn1.to_q.lora_A.weight (2)" in said


@pytest.mark.parametrize("alpha", [math.nan, math.inf])
def test_an_alpha_that_is_no_number_is_refused(
    tiny_transformer: Tensors, lora: Tensors, tmp_path: Path, alpha: float
) -> None:
    path = tmp_path / "lora.safetensors"
    stem = next(iter(lora)).removesuffix(".lora_A.weight").removesuffix(".lora_B.weight")
    save_file({**lora, f"{stem}.alpha": torch.tensor(alpha)}, path)
    given = LoraPathStrengthAndSDOps(str(path), 1.0, LTXV_LORA_COMFY_RENAMING_MAP)
    with pytest.raises(ValueError, match=f"the alpha of .* is {alpha}; take the file from its "):
        in_any_layout((given,), tiny_transformer)


def test_compiled_blocks_are_found(
    tiny_transformer: Tensors, lora: Tensors, tmp_path: Path
) -> None:
    """Compiling puts "_orig_mod" into the names of the blocks, and into what renames the LoRA's."""
    path = tmp_path / "lora.safetensors"
    named = {f"lora_unet_{kohyas(key)}": value for key, value in lora.items()}
    stem = "transformer_blocks.1"
    first = f"lora_unet_{stem.replace('.', '_')}_attn1_to_q"
    save_file({**named, f"{first}.alpha": torch.tensor(1.0)}, path)
    compiled = LTXV_LORA_COMFY_RENAMING_MAP.with_replacement(f"{stem}.", f"{stem}._orig_mod.")
    keys = [key.replace(f"{stem}.", f"{stem}._orig_mod.") for key in tiny_transformer]
    (read,) = in_any_layout((LoraPathStrengthAndSDOps(str(path), 1.0, compiled),), keys)
    up = f"{stem}._orig_mod.attn1.to_q.lora_B.weight"
    assert read.sd_ops.apply_to_key(f"{first}.lora_up.weight") == up
    ((key, value),) = read.sd_ops.apply_to_key_value(up, torch.ones(2, 2))
    assert (key, value.tolist()) == (up, [[0.5, 0.5], [0.5, 0.5]])
    assert read.sd_ops.apply_to_key("lora_unet_proj_out.lora_up.weight") == "proj_out.lora_B.weight"


def test_upstream_hears_neither_other_names_nor_alphas(
    checkpoint: Path,
    lora: Tensors,
    upstream: Pipelines,
    patched: Pipelines,
    tmp_path: Path,
) -> None:
    """One file in both: upstream makes the clip without the LoRA, or without its alphas."""
    key = f"{MODULES[0]}.weight"

    def change(pipelines: Pipelines, name: str, tensors: Tensors) -> float:
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        told = ["fused", str(checkpoint), str(path), key]
        done = pipelines.run("tests.upstream.patches.constructed", told)
        assert done.code == 0, done.err
        return float(json.loads(done.out))

    own = {OWN + name: value for name, value in lora.items()}
    kohya = {f"lora_unet_{kohyas(name)}": value for name, value in lora.items()}
    halved = {**own, f"{OWN}{MODULES[0]}.alpha": torch.tensor(RANK / 2)}
    whole = change(upstream, "own", own)
    assert whole > 0
    assert change(patched, "own", own) == whole
    assert change(upstream, "kohya", kohya) == 0
    assert change(patched, "kohya", kohya) == whole
    assert change(upstream, "alpha", halved) == whole
    assert change(patched, "alpha", halved) == pytest.approx(whole / 2, rel=0.02)


@pytest.mark.revisions(since="2026-08-03")  # before, only where there is CUDA
def test_a_lora_that_streams_from_disk_is_read_alike(
    tiny_transformer: Tensors, lora: Tensors, tmp_path: Path
) -> None:
    from ltx_core.block_streaming.disk import LoraSource

    named = {f"lora_unet_{kohyas(key)}": value for key, value in lora.items()}
    module = MODULES[0]
    alpha = {f"lora_unet_{module.replace('.', '_')}.alpha": torch.tensor(1.0)}
    save_file({**named, **alpha}, tmp_path / "lora.safetensors")
    (read,) = in_any_layout(given(tmp_path / "lora.safetensors"), tiny_transformer)
    source = LoraSource(read.path, read.sd_ops, read.strength)
    for name in MODULES:
        pair = source.get_ab(name)
        assert pair is not None, name
        factor = 0.5 if name == module else 1.0
        assert torch.equal(pair.a, lora[f"{name}.lora_A.weight"])
        assert torch.equal(pair.b, lora[f"{name}.lora_B.weight"] * factor)
