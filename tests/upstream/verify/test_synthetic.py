"""The file sets: complete by upstream's builders, named as the true ones, the same each time."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.upstream.conftest import FileSets
from verify.synthetic.abilities import gemmas, layouts, variants
from verify.synthetic.architecture import (
    METADATA,
    TINY,
    Gemma,
    Variant,
    checkpoint_metadata,
    gemma_config,
    replaced,
)
from verify.synthetic.completeness import Placed, faults
from verify.synthetic.files import FileSet, Layout, file_set
from verify.synthetic.tensorfile import Kind
from verify.synthetic.weights import PIECE, Drawn
from verify.upstream.process import Pipelines, core_of

ROOT = Path(__file__).parents[3]
MAIN = "verify.synthetic.__main__"
CORE = core_of(Path(os.environ["LTX2_UPSTREAM_TREE"]))
VARIANTS = [variant.value for variant in variants(CORE)]
NEWEST = VARIANTS[-1]
LAYOUTS = layouts(CORE)
TRUE_GEMMAS = {Gemma.GEMMA_3: "gemma3_12b", Gemma.GEMMA_4: "gemma4_12b"}


def names(file: Path) -> set[str]:
    """The tensors of a safetensors file."""
    with safe_open(file, framework="pt") as opened:
        return set(opened.keys())


def digests(folder: Path) -> dict[str, str]:
    """Each file below `folder`, by its path, with its sha256."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def command(*arguments: str | Path, tree: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, without upstream where no tree is named."""
    packages = (
        [tree / "packages" / name / "src" for name in ("ltx-core", "ltx-pipelines")] if tree else []
    )
    bare = [] if tree else ["-S"]  # without what the environment has
    return subprocess.run(
        [sys.executable, *bare, "-m", "verify.synthetic", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*packages, ROOT]))},
    )


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
    true = json.loads((METADATA / f"{TRUE_GEMMAS[Gemma(gemma)]}.json").read_text("utf-8"))
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
    assert patched.run(MAIN, [str(again), "--variant", "2.0"]).code == 0
    assert upstream.run(MAIN, [str(other), "--variant", "2.0", "--seed", "1"]).code == 0
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
    done = upstream.run(MAIN, [str(out), *options])
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
    done = upstream.run(MAIN, [str(out), "--variant", "2.0", "--gemma-shards", "40"])
    assert done.code == 0, done.err
    shards = sorted(FileSet(out).gemma_root.glob("model-*"))
    assert 1 < len(shards) < 40
    assert shards[-1].name == f"model-{len(shards):05}-of-{len(shards):05}.safetensors"
    assert all(names(shard) for shard in shards)


@pytest.mark.parametrize("tree", ["upstream_tree", "patched_tree"])
def test_builders_want_each_tensor_and_no_other(
    tree: str, fileset: FileSets, tmp_path: Path, request: pytest.FixtureRequest
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
    code = """
import sys
from pathlib import Path
from verify.upstream import unpatched
from verify.synthetic.completeness import faults, place_all, tensor_names
from verify.synthetic.files import FileSet
unpatched.lend_unpublished()
for root in sys.argv[1:]:
    files = FileSet(Path(root))
    with unpatched.gemma_of(files.gemma_root):
        placed = place_all(files)
    print(faults(placed, tensor_names(files.root.glob("*.safetensors"))))
"""
    sources = [
        request.getfixturevalue(tree) / "packages" / name / "src"
        for name in ("ltx-core", "ltx-pipelines")
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, str(good.root), str(broken.root)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*sources, ROOT]))},
    )
    assert done.stdout.splitlines() == [
        "[]",
        str(
            [
                "audio_encoder: no place for checkpoint.safetensors:audio_vae.encoder.surplus",
                "audio_encoder: no tensor for conv_in.conv.bias",
                "no component takes checkpoint.safetensors:elsewhere",
            ]
        ),
    ]


def test_a_tensor_that_one_component_leaves_and_another_takes_is_fine() -> None:
    """As the connectors' tensors, which upstream's transformer picks too."""
    transformer = Placed("transformer", frozenset(), frozenset({"f:a"}), frozenset({"f:b"}))
    processor = Placed("processor", frozenset(), frozenset({"f:b"}), frozenset())
    assert faults([transformer, processor], ["f:a", "f:b"]) == []
    assert faults([transformer], ["f:a", "f:b"]) == ["transformer: no place for f:b"]


@pytest.mark.parametrize("variant", Variant)
def test_a_size_that_replaces_nothing_is_the_true_model(variant: Variant) -> None:
    """And the tiny one has no field that the true one lacks."""
    true = json.loads((METADATA / f"{variant.value}.json").read_text("utf-8"))["checkpoint"]
    tiny = checkpoint_metadata(variant, TINY, variant.gemma)["config"]

    def fields(config: Any) -> Any:
        return {k: fields(v) for k, v in config.items()} if isinstance(config, dict) else None

    assert fields(tiny) == fields(true["config"])
    assert tiny["transformer"]["rope_type"] == true["config"]["transformer"]["rope_type"]
    assert replaced(true["config"], {}) == true["config"]


def test_each_replacement_counts_in_some_variant() -> None:
    """A misspelled field would be replaced nowhere, without a word."""
    true = [
        json.loads((METADATA / f"{v.value}.json").read_text("utf-8"))["checkpoint"]["config"]
        for v in Variant
    ]

    def unknown(replacements: Mapping[str, Any], configs: list[Any]) -> list[str]:
        found = []
        for key, new in replacements.items():
            having = [config[key] for config in configs if key in config]
            if not having:
                found.append(key)
            elif isinstance(new, Mapping):
                found += unknown(new, having)
        return found

    assert unknown(TINY.checkpoint, true) == []
    for family, size in TINY.gemma.items():
        config = json.loads((METADATA / f"{TRUE_GEMMAS[family]}.json").read_text("utf-8"))
        assert unknown(size.replacements, [config]) == []


@pytest.mark.parametrize("family", Gemma)
def test_tiny_gemma_fits_bitsandbytes(family: Gemma) -> None:
    """Its CPU kernels crash on Linears that do not take a multiple of 64 features."""
    text = gemma_config(TINY.gemma[family])["text_config"]
    taken = [text["hidden_size"], text["intermediate_size"]]
    taken += [
        text[key] * text["num_attention_heads"]
        for key in ("head_dim", "global_head_dim")
        if key in text
    ]
    assert not any(features % 64 for features in taken), taken


def weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The values of a tensor in float32."""
    return torch.cat([*Drawn(name, Kind(shape, torch.float32)).pieces(seed, "cpu")])


def test_weights_travel_between_machines() -> None:
    """Golden values: no function is used that rounds differently from one to another."""
    drawn = weight("a.weight", (64, 64), seed=0)
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest() == (
        "e45ec6755c6da499e057e87c8a8035c6cb3243319e7de1c73564017de09f10c0"
    )
    assert abs(float(drawn.std()) * 8 - 1) < 0.05
    assert not torch.equal(drawn, weight("a.weight", (64, 64), seed=1))
    assert not torch.equal(drawn, weight("b.weight", (64, 64), seed=0))


def test_a_large_tensor_comes_in_pieces() -> None:
    """None larger than PIECE, and none that repeats another."""
    pieces = [*Drawn("a.weight", Kind((2, PIECE // 2 + 8), torch.bfloat16)).pieces(0, "cpu")]
    assert [piece.numel() for piece in pieces] == [PIECE, 16]
    assert not torch.equal(pieces[0][:16], pieces[1])
    assert abs(float(pieces[0].float().std()) * (PIECE // 2 + 8) ** 0.5 - 1) < 0.01


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Before torch is imported, or even found."""
    (tmp_path / "mine").write_text("dear", encoding="utf-8")
    refused = command(tmp_path, "--variant", "2.0", tree=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "exists and is not empty; name a new or an empty folder" in refused.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    refused = command(tmp_path / "out", "--variant", "2.6")
    assert refused.returncode == 2
    assert "invalid choice: '2.6'" in refused.stderr
    assert "2.3" in refused.stderr
    assert list(tmp_path.iterdir()) == []


# The newest loads everything.
@pytest.mark.revisions(before="2026-03-30")
@pytest.mark.parametrize(
    ("option", "newest", "offered"),
    [
        ("--variant", Variant.LTX_2_5.value, VARIANTS),
        ("--gemma", Gemma.GEMMA_4.value, [g.value for g in gemmas(CORE)]),
        ("--layout", Layout.SPLIT.value, [layout.value for layout in LAYOUTS]),
    ],
)
def test_what_the_upstream_does_not_load_is_refused(
    option: str, newest: str, offered: list[str], tmp_path: Path, upstream_tree: Path
) -> None:
    """With what it does, before anything is made."""
    options = {"--variant": "2.0", option: newest}
    arguments = [text for pair in options.items() for text in pair]
    refused = command(tmp_path / "out", *arguments, tree=upstream_tree)
    assert refused.returncode == 2
    assert f"does not load {option} {newest}; ask for {' or '.join(offered)}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_upstream_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With how to have it."""
    refused = command(tmp_path / "out", "--variant", "2.0")
    assert refused.returncode == 4
    assert "is not installed" in refused.stderr
    assert "make install" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files, from the first weight on, stands for a full disk: both fail in
    the midst of a file."""
    code = """
import resource, sys
from contextlib import contextmanager
from verify.synthetic import progress
from verify.synthetic.__main__ import main

@contextmanager
def full_disk(name, nbytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    yield print

progress.on_stderr = lambda: full_disk
sys.exit(main())
"""
    refused = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out"), "--variant", "2.0"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])},
    )
    assert refused.returncode == 4, refused.stderr
    assert "free some space" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == []
