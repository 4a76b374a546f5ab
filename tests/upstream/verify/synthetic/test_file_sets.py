"""The file sets: complete by upstream's builders, named as the true ones, the same each time."""

import json
import os
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.upstream.conftest import MAKER, FileSets
from tests.upstream.verify.synthetic.digests import digests
from verify.synthetic.abilities import gemmas, layouts, variants
from verify.synthetic.architecture import METADATA, GemmaFamily
from verify.synthetic.files import FileSet, Layout, file_set
from verify.upstream.process import Pipelines
from verify.upstream.tree import core_of

CORE = core_of(Path(os.environ["LTX2_UPSTREAM_TREE"]))
VARIANTS = [variant.value for variant in variants(CORE)]
NEWEST = VARIANTS[-1]
LAYOUTS = layouts(CORE)
TRUE_GEMMAS = {GemmaFamily.GEMMA_3: "gemma3_12b", GemmaFamily.GEMMA_4: "gemma4_12b"}


def names(file: Path) -> set[str]:
    """The tensors of a safetensors file."""
    with safe_open(file, framework="pt") as opened:
        return set(opened.keys())


@pytest.mark.parametrize("variant", VARIANTS)
def test_tensors_have_the_names_of_the_true_models(variant: str, fileset: FileSets) -> None:
    """Of each component one, and of two spellings that upstream reads the published one."""
    files = fileset(variant)
    checkpoint = names(files.checkpoint)
    assert {
        "model.diffusion_model.transformer_blocks.0.attn1.to_q.weight",
        "model.diffusion_model.video_embeddings_connector.learnable_registers",
        "vae.encoder.conv_in.conv.weight",
        "vae.per_channel_statistics.mean-of-means",
        "audio_vae.per_channel_statistics.mean-of-means",
    } <= checkpoint
    assert not {name for name in checkpoint if "coder.per_channel_statistics" in name}
    told = {
        "2.0": {
            "text_embedding_projection.aggregate_embed.weight",
            "vae.decoder.conv_in.conv.weight",
            "vocoder.conv_pre.weight",
        },
        "2.3": {
            "text_embedding_projection.video_aggregate_embed.weight",
            "vae.decoder.conv_in.conv.weight",
            "vocoder.bwe_generator.conv_pre.weight",
        },
        "2.5": {
            "duration_head.attention_pooler.cross_attn.in_proj_weight",
            "text_embedding_projection.video_aggregate_embed.weight",
            "vae.decoder.det_stages.0.0.attn.qkv.weight",
            "vae.decoder.t_embedder.mlp.0.weight",
            "vocoder.bwe_generator.conv_pre.weight",
        },
    }
    assert told[variant] <= checkpoint
    lora = names(files.distilled_lora)
    assert "diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight" in lora


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.revisions(since="2026-08-11")  # older ones know monoliths only
def test_a_split_set_holds_what_the_monolith_does(variant: str, fileset: FileSets) -> None:
    """The same tensors under the published names, with each file's own part of the metadata."""
    whole, split = fileset(variant), fileset(variant, Layout.SPLIT)
    tensors = load_file(whole.checkpoint)
    for shard in whole.gemma_root.glob("*.safetensors"):
        tensors |= {as_packed(name): tensor for name, tensor in load_file(shard).items()}
    heads = [split.duration_head] if split.duration_head.exists() else []
    parts = [split.transformer, split.text_encoder, split.video_vae, split.audio_vae, *heads]
    held = {
        ("vae." if part == split.video_vae else "") + name: tensor
        for part in parts
        for name, tensor in load_file(part).items()
    }
    assets = {name for name in held if name.startswith(("tokenizer_json", "hf_asset__"))}
    assert "hf_asset__processor_config.json" in assets
    assert held.keys() - assets == tensors.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in tensors.items())
    sections = [sorted(json.loads(metadata(part)["config"])) for part in (parts[0], *parts[2:])]
    true = [["scheduler", "transformer"], ["vae"], ["audio_vae", "vocoder"], ["transformer"]]
    assert sections == true[: len(sections)]


def as_packed(name: str) -> str:
    """The name of a Gemma root's tensor in a packed file; Gemma 3's are the same."""
    return (
        name.replace("model.language_model.", "model.", 1)
        .replace("model.vision_embedder.", "vision_model.")
        .replace("model.embed_vision.", "multi_modal_projector.")
        .replace("model.embed_audio.", "audio_projector.")
        if name.startswith("model.")
        else name
    )


def metadata(file: Path) -> dict[str, str]:
    """What a safetensors file states of itself."""
    with safe_open(file, framework="pt") as opened:
        stated: dict[str, str] = opened.metadata()
    return stated


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gemma_root_is_one_that_transformers_opens(variant: str, fileset: FileSets) -> None:
    """Without a key missing or too many, and with a tied head that is in no shard."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    root = fileset(variant).gemma_root
    index = json.loads((root / "model.safetensors.index.json").read_text("utf-8"))
    assert not [name for name in index["weight_map"] if "lm_head" in name]
    model, told = AutoModelForImageTextToText.from_pretrained(root, output_loading_info=True)
    assert not any(told.values()), told
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    processor = AutoProcessor.from_pretrained(root)
    assert max(processor.tokenizer("A red fox")["input_ids"]) < model.config.text_config.vocab_size
    assert processor.tokenizer.image_token_id == model.config.image_token_id


@pytest.mark.parametrize(
    ("variant", "layout", "gemma"),
    [
        pytest.param(
            variant.value,
            layout,
            gemma.value,
            marks=[] if gemma is variant.gemma else pytest.mark.slow,
        )
        for variant, layout, gemma in product(variants(CORE), LAYOUTS, gemmas(CORE))
    ],
)
def test_any_gemma_goes_with_any_variant(
    variant: str, layout: Layout, gemma: str, fileset: FileSets
) -> None:
    """In each layout; making one proves that upstream's builders take it whole."""
    files = fileset(variant, layout, gemma)
    assert file_set(files.root) == files
    true = json.loads((METADATA / f"{TRUE_GEMMAS[GemmaFamily(gemma)]}.json").read_text("utf-8"))
    if layout is Layout.SPLIT:
        config = json.loads(metadata(files.text_encoder)["gemma_config"])
    else:
        config = json.loads((files.text_encoder / "config.json").read_text("utf-8"))
    assert config["model_type"] == true["model_type"]


def test_same_arguments_same_bytes(
    upstream: Pipelines, patched: Pipelines, fileset: FileSets, tmp_path: Path
) -> None:
    """On a patched tree too; and another seed gives other weights in the same shapes."""
    again, other = tmp_path / "again", tmp_path / "other"
    assert patched.run(MAKER, [str(again), "--variant", "2.0"]).code == 0
    assert upstream.run(MAKER, [str(other), "--variant", "2.0", "--seed", "1"]).code == 0
    first = digests(fileset("2.0").root)
    assert digests(again) == first
    seeded = digests(other)
    assert seeded.keys() == first.keys()
    assert {n for n in first if seeded[n] != first[n]} == {
        n for n in first if n.endswith(".safetensors")
    }


@pytest.mark.parametrize(("name", "dtype"), [("f16", "F16"), ("f32", "F32")])
def test_a_gemma_root_is_stored_as_asked(
    name: str, dtype: str, upstream: Pipelines, tmp_path: Path
) -> None:
    """In its dtype, and as one file where one is asked for."""
    out = tmp_path / "set"
    options = ["--variant", NEWEST, "--gemma-dtype", name, "--gemma-shards", "1"]
    done = upstream.run(MAKER, [str(out), *options])
    assert done.code == 0, done.err
    assert [p.name for p in out.rglob("model*")] == ["model.safetensors"]
    root = FileSet(out).gemma_root
    config = json.loads((root / "config.json").read_text("utf-8"))
    assert config["torch_dtype"] == {"f16": "float16", "f32": "float32"}[name]
    with safe_open(root / "model.safetensors", framework="pt") as opened:
        assert {opened.get_slice(key).get_dtype() for key in opened.keys()} == {dtype}  # noqa: SIM118


def test_no_shard_is_empty(upstream: Pipelines, tmp_path: Path) -> None:
    """However many are asked for: the embedding alone is a sixth of the tiny Gemma."""
    out = tmp_path / "set"
    done = upstream.run(MAKER, [str(out), "--variant", "2.0", "--gemma-shards", "40"])
    assert done.code == 0, done.err
    shards = sorted(FileSet(out).gemma_root.glob("model-*"))
    assert 1 < len(shards) < 40
    assert shards[-1].name == f"model-{len(shards):05}-of-{len(shards):05}.safetensors"
    assert all(names(shard) for shard in shards)


@pytest.mark.parametrize("scripts", ["upstream", "patched"])
def test_builders_want_each_tensor_and_no_other(
    scripts: str, fileset: FileSets, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What is taken from a file set, and what is put beside, upstream's builders both tell."""
    good = fileset("2.0")
    broken = FileSet(tmp_path / "broken")
    broken.root.mkdir()
    for file in good.root.iterdir():
        (broken.root / file.name).symlink_to(file)
    tensors = load_file(good.checkpoint)
    del tensors["audio_vae.encoder.conv_in.conv.bias"]
    tensors |= {"audio_vae.encoder.surplus": torch.zeros(1), "elsewhere": torch.zeros(1)}
    broken.checkpoint.unlink()
    save_file(tensors, broken.checkpoint, metadata(good.checkpoint))
    pipelines: Pipelines = request.getfixturevalue(scripts)

    def faults(files: FileSet) -> list[str]:
        argv = ["--gemma-root", str(files.gemma_root), "--files", str(files.root)]
        done = pipelines.run("tests.upstream.verify.synthetic.tell_faults", argv)
        assert done.code == 0, done.err
        return done.out.splitlines()

    assert faults(good) == []
    assert faults(broken) == [
        "audio_encoder: no place for checkpoint.safetensors:audio_vae.encoder.surplus",
        "audio_encoder: no tensor for conv_in.conv.bias",
        "no component takes checkpoint.safetensors:elsewhere",
    ]
