"""Each layout that people have is told for what it is, and the command for it is named.

The files have the names of a real model of two layers, written by what stands here and, for GGUF,
by the library that converters use.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.jobs.models.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.rules.models.architecture import transformer_keys
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.rules.models.pairing import refusal_of, refusal_of_codes, takes_int8
from ltx2_patcher.rules.models.serving import served_as
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import PatcherError
from ltx2_patcher.values.weights import Checkpoint, Foreign, GemmaRoot, Source
from tests.gguf_files import Kinds, write_gguf
from tests.weight_files import (
    RELEASED,
    TINY_GEMMA,
    Spec,
    packed_gemma,
    plain,
    write,
    write_diffusers,
    write_gemma,
    write_marked,
)

PREFIX = "model.diffusion_model."
CONFIG = RELEASED["LTX-2.3 22B"]["config"]
METADATA = {"config": json.dumps(CONFIG)}
NAMES = sorted(transformer_keys(CONFIG))
LAYERS = [
    name.removesuffix(".weight")
    for name in NAMES
    if ".transformer_blocks." in name and name.endswith((".to_q.weight", ".proj.weight"))
]
Json = dict[str, object]
INT8: Json = {"format": "int8_tensorwise"}
FP8: Json = {"format": "float8_e4m3fn"}
ROTATED: Json = {**INT8, "convrot": True, "convrot_groupsize": 256}


def _quantized(weight: tuple[str, tuple[int, ...]], **parts: tuple[str, tuple[int, ...]]) -> Spec:
    """The transformer with its blocks' weights stored so, and these parts beside each."""
    tensors = dict(plain(NAMES))
    for layer in LAYERS:
        tensors[f"{layer}.weight"] = weight
        tensors.update({f"{layer}.{part}": spec for part, spec in parts.items()})
    return tensors


def _bare(tensors: Spec) -> Spec:
    return {name.removeprefix(PREFIX): spec for name, spec in tensors.items()}


SCALE, ROWS = ("F32", (1,)), ("F32", (2, 1))
LAYOUTS: dict[str, tuple[Spec, dict[str, object] | None, str, str]] = {
    # Tensors, each layer's mark, precision, and what ComfyUI calls it.
    "bf16": (plain(NAMES), None, "bf16", ""),
    "fp8_scaled": (
        _quantized(("F8_E4M3", (2, 2)), weight_scale=SCALE), FP8, "fp8 with scales", "fp8_scaled",
    ),
    "input_scaled": (
        _quantized(("F8_E4M3", (2, 2)), weight_scale=SCALE, input_scale=SCALE),
        FP8, "fp8 with scales", "fp8_input_scaled",
    ),
    "int8": (_quantized(("I8", (2, 2)), weight_scale=ROWS), INT8, "int8", "int8_tensorwise"),
    "int8 rotated": (
        _quantized(("I8", (2, 2)), weight_scale=ROWS),
        ROTATED, "int8 with rotation", "int8_tensorwise with ConvRot",
    ),
    "mxfp8": (
        _quantized(("F8_E4M3", (2, 2)), weight_scale=("U8", (2, 1))),
        {"format": "mxfp8"}, "mxfp8", "mxfp8",
    ),
    "nvfp4": (
        _quantized(("U8", (2, 1)), weight_scale=("F8_E4M3", (2, 1)), weight_scale_2=("F32", ())),
        {"format": "nvfp4"}, "nvfp4", "nvfp4",
    ),
}  # fmt: skip


def _write(path: Path, tensors: Spec, mark: dict[str, object] | None, **metadata: str) -> Path:
    bare = not any(name.startswith(PREFIX) for name in tensors)
    layers = [layer.removeprefix(PREFIX) if bare else layer for layer in LAYERS]
    marks = dict.fromkeys(layers, mark) if mark else {}
    return write_marked(path, tensors, marks, metadata)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transformer_with_its_configuration_is_a_checkpoint_of_its_layout(
    tmp_path: Path, layout: str
) -> None:
    tensors, mark, precision, name = LAYOUTS[layout]
    found = inspect(_write(tmp_path / "a.safetensors", tensors, mark, **METADATA))
    assert isinstance(found, Checkpoint)
    assert (found.variant, found.precision, found.layout) == ("LTX-2.3 22B", precision, name)
    assert found.missing == ()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transformer_with_bare_names_is_told_and_its_command_named(
    tmp_path: Path, layout: str
) -> None:
    tensors, mark, precision, name = LAYOUTS[layout]
    path = _write(tmp_path / "a file.safetensors", _bare(tensors), mark, **METADATA)
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("transformer", "transformer of LTX-2.3 22B")
    assert (found.codes, name in found.layout) == (precision, True)
    assert served_as(found) is None
    with pytest.raises(PatcherError, match="which no pipeline takes") as refused:
        inspect_checkpoint(path)
    _assert_names_command(refused.value, [str(path)], "int8" if mark in (INT8, ROTATED) else "bf16")


def test_a_mark_in_the_header_counts_as_a_tensor_does(tmp_path: Path) -> None:
    stated = json.dumps({"layers": dict.fromkeys(LAYERS, ROTATED)})
    tensors = LAYOUTS["int8"][0]
    path = write(
        tmp_path / "a.safetensors", tensors, {**METADATA, "_quantization_metadata": stated}
    )
    found = inspect(path)
    assert isinstance(found, Checkpoint)
    assert found.precision == "int8 with rotation"


def test_int8_loads_where_a_base_multiplies_by_it_and_is_converted_elsewhere(
    tmp_path: Path,
) -> None:
    tensors, mark, _, _ = LAYOUTS["int8 rotated"]
    path = tmp_path / "a.safetensors"
    found = inspect(_write(path, tensors, mark, **METADATA))
    assert isinstance(found, Checkpoint)
    older = Abilities("1.0.0", (found.variant,), frozenset({"packed-files"}))
    able: Abilities = replace(older, can=frozenset({"packed-files", "int8-products"}))
    assert (takes_int8(found, able), takes_int8(found, older)) == (True, False)
    assert refusal_of(found, able, (), str(path)) is None
    plain_run = refusal_of_codes(found, None, "", able)
    assert plain_run is not None
    assert plain_run.remedy == "add --quantization int8"
    assert refusal_of_codes(found, "int8", "", able) is None
    assert served_as(found) == "--transformer-path with --quantization int8"
    refused = refusal_of(found, older, (), str(path))
    assert refused is not None
    _assert_names_command(refused, [str(path)], "int8")
    other = refusal_of(found, older, (able,), str(path))
    assert other is not None
    _assert_names_command(other, [str(path)], "bf16")


@pytest.mark.parametrize("name", ["asym_w4a8_int8", "convrot_w4a4"])
def test_what_convert_does_not_read_has_no_command(tmp_path: Path, name: str) -> None:
    tensors = _quantized(("I8", (2, 1)), weight_scale=ROWS)
    for number, held in enumerate((tensors, _bare(tensors))):
        path = tmp_path / f"{number}.safetensors"
        found = inspect(_write(path, held, {"format": name}, **METADATA))
        assert isinstance(found, Checkpoint | Source)
        refused = refusal_of(found, Abilities("1.0.0", ("LTX-2.3 22B",), frozenset()), (), "a")
        assert refused is not None
        assert name in str(refused)
        assert "run convert" not in refused.remedy


def test_a_checkpoint_without_its_configuration_is_converted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", plain(NAMES))
    with pytest.raises(PatcherError, match="without its configuration") as refused:
        inspect_checkpoint(path)
    _assert_names_command(refused.value, [str(path)], "bf16")


def _gguf_transformer(prefix: str) -> Kinds:
    tensors = {prefix + name.removeprefix(PREFIX): ("F32", (2, 2)) for name in NAMES}
    for layer in LAYERS:
        tensors[prefix + layer.removeprefix(PREFIX) + ".weight"] = ("Q4_K", (256, 256))
    return tensors


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_a_transformer_in_gguf_is_told_by_its_names(tmp_path: Path, prefix: str) -> None:
    path = write_gguf(tmp_path / "a.gguf", "ltxv", _gguf_transformer(prefix))
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.model, found.layout) == ("transformer of LTX-2.3 22B", "GGUF, mostly Q4_K")
    held = {part.name: part.dtypes for part in found.components}
    assert held["transformer"]["Q4_K"] == len(LAYERS)
    with pytest.raises(PatcherError) as refused:
        inspect_checkpoint(path)
    _assert_names_command(refused.value, [str(path)], "bf16")


GEMMA_GGUF: Kinds = {
    "token_embd.weight": ("Q6_K", (4, 256)),
    "output_norm.weight": ("F32", (256,)),
    "blk.0.attn_q.weight": ("Q4_0", (256, 256)),
}


def test_a_gemma_in_gguf_is_told_by_its_settings(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "a.gguf", "gemma3", GEMMA_GGUF,
        gemma3__embedding_length=3840, gemma3__block_count=48,
        tokenizer__ggml__tokens=["<pad>", "<eos>"], split__no=1, split__count=3,
    )  # fmt: skip
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("gemma", "Gemma 3 12B")
    assert found.layout == "GGUF, mostly Q4_0, file 2 of 3"
    with pytest.raises(PatcherError) as refused:
        inspect_gemma(path)
    _assert_names_command(refused.value, [str(path), "GEMMA_ROOT"], "4bit")


def test_a_gemma_4_in_gguf_is_completed_by_the_text_encoder_of_its_model(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "a.gguf", "gemma4", GEMMA_GGUF,
        gemma4__embedding_length=3840, gemma4__block_count=48,
    )  # fmt: skip
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("gemma", "Gemma 4 12B")
    with pytest.raises(PatcherError) as refused:
        inspect_gemma(path)
    _assert_names_command(refused.value, [str(path), "TEXT_ENCODER"], "4bit")


def test_other_gguf_files_are_told_apart(tmp_path: Path) -> None:
    vision = write_gguf(
        tmp_path / "mmproj.gguf", "clip", {"v.patch_embd.weight": ("F16", (2, 2))},
        clip__projector_type="gemma3",
    )  # fmt: skip
    found = inspect(vision)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("part", "vision tower of a Gemma 3")
    older = {"transformer_blocks.0.attn1.to_q.weight": ("F16", (2, 2))}  # LTX-Video: no sound
    for number, (architecture, tensors) in enumerate((("ltxv", older), ("llama", GEMMA_GGUF))):
        path = write_gguf(tmp_path / f"{number}.gguf", architecture, tensors)
        assert isinstance(inspect(path), Foreign)


def test_a_folder_of_diffusers_is_told_and_another_models_is_not(tmp_path: Path) -> None:
    names = ["audio_proj_in.weight", "prompt_adaln.linear.weight", "transformer_blocks.0.a.weight"]
    root = write_diffusers(tmp_path / "ltx", plain(names))
    for folder in (root, root / "transformer"):
        found = inspect(folder)
        assert isinstance(found, Source)
        assert found.model == "transformer of LTX-2.3 22B"
        assert found.layout == "a diffusers folder, bf16"
        with pytest.raises(PatcherError) as refused:
            inspect_checkpoint(folder)
        _assert_names_command(refused.value, [str(folder)], "bf16")
    write_gemma(root / "text_encoder")
    assert isinstance(inspect(root), Source)
    assert inspect_gemma(root).name == "Gemma 3 64 wide, 2 layers"
    other = write_diffusers(tmp_path / "wan", plain(["blocks.0.ffn.weight"]), "WanTransformer3D")
    assert isinstance(inspect(other), Foreign)


def _comfy_gemma() -> Spec:
    renamed = {
        "language_model.model.": "model.",
        "vision_tower.vision_model.": "vision_model.",
        "multi_modal_projector.": "multi_modal_projector.",
    }
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"spiece_model": ("U8", (9,))}
    for name in gemma_keys(TINY_GEMMA):
        start = next(start for start in renamed if name.startswith(start))
        tensors[renamed[start] + name.removeprefix(start)] = ("BF16", (2, 2))
    return {**tensors, "model.norm.weight": ("BF16", (64,))}


Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"


@pytest.mark.parametrize(
    ("changed", "marks", "layout"),
    [
        ({}, {}, "bf16, one file without its settings"),
        (
            {f"{Q}.weight": ("F8_E4M3", (2, 2)), f"{Q}.weight_scale": SCALE},
            {Q: FP8},
            "ComfyUI's fp8_scaled",
        ),
        (
            {
                f"{Q}.weight": ("U8", (2, 1)),
                f"{Q}.weight_scale": ("F8_E4M3", (2, 1)),
                f"{Q}.weight_scale_2": ("F32", ()),
                f"{K}.weight": ("F8_E4M3", (2, 2)),
                f"{K}.weight_scale": SCALE,
            },
            {Q: {"format": "nvfp4"}, K: FP8},
            "ComfyUI's fp4_mixed",
        ),
    ],
)
def test_a_gemma_in_one_file_of_comfyui_is_told(
    tmp_path: Path,
    changed: Spec,
    marks: dict[str, dict[str, object]],
    layout: str,
) -> None:
    path = write_marked(tmp_path / "a.safetensors", {**_comfy_gemma(), **changed}, marks)
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("gemma", "Gemma 3 64 wide, 2 layers")
    assert found.layout == layout
    assert {part.name for part in found.components} == {
        "tokenizer", "vision tower", "projector", "language model",
    }  # fmt: skip
    with pytest.raises(PatcherError) as refused:
        inspect_gemma(path)
    _assert_names_command(refused.value, [str(path), "GEMMA_ROOT"], "4bit")


def test_a_packed_gemma_that_comfyui_quantized_is_converted(tmp_path: Path) -> None:
    tensors, metadata = packed_gemma()
    layer = "model.layers.0.self_attn.q_proj"
    tensors[f"{layer}.weight"] = ("I8", (2, 2))
    tensors[f"{layer}.weight_scale"] = ROWS
    path = write_marked(tmp_path / "a.safetensors", tensors, {layer: ROTATED}, metadata)
    found = inspect(path)
    assert isinstance(found, Source)
    assert found.model == "Gemma 4 64 wide, 2 layers"
    assert found.layout == "ComfyUI's int8_tensorwise with ConvRot"


def test_a_root_without_its_vision_tower_is_completed(tmp_path: Path) -> None:
    keys = [name for name in gemma_keys(TINY_GEMMA) if name.startswith("language_model.")]
    alone = write_gemma(tmp_path / "alone", plain(keys))
    found = inspect(alone)
    assert isinstance(found, GemmaRoot)
    able = Abilities("1.0.0", ("LTX-2.3 22B",), frozenset())
    refused = refusal_of(found, able, (), str(alone))
    assert refused is not None
    assert "lacks its vision tower" in str(refused)
    _assert_names_command(refused, [str(alone), "GEMMA_ROOT"], "4bit")
    config = {"model_type": "gemma3_text", "hidden_size": 64, "num_hidden_layers": 2}
    bare = [name.removeprefix("language_model.") for name in keys]
    text = write_gemma(tmp_path / "text", plain(bare), config)
    source = inspect(text)
    assert isinstance(source, Source)
    assert (source.model, source.layout) == ("Gemma 3 64 wide, 2 layers", "a root for text alone")
    with pytest.raises(PatcherError) as told:
        inspect_gemma(text)
    _assert_names_command(told.value, [str(text), "GEMMA_ROOT"], "4bit")


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["text_embedding_projection.aggregate_embed.weight"], "text projection"),
        (["vae.decoder.conv_in.weight", "vae.encoder.conv_in.weight"], "video VAE"),
        (["audio_vae.decoder.x.weight", "vocoder.x.weight"], "audio VAE and vocoder"),
        (["video_embeddings_connector.x.weight"], "text connectors"),
    ],
)
def test_a_part_in_a_file_of_its_own_goes_beside_a_transformer(
    tmp_path: Path, names: list[str], model: str
) -> None:
    path = write(tmp_path / "a.safetensors", plain(names))
    found = inspect(path)
    assert isinstance(found, Source)
    assert (found.kind, found.model) == ("part", model)
    refused = refusal_of(found, Abilities("1.0.0", (), frozenset()), (), str(path))
    assert refused is not None
    _assert_names_command(refused, ["TRANSFORMER", str(path)], "bf16")


def _assert_names_command(error: PatcherError, inputs: list[str], to: str) -> None:
    """The remedy names the command as a shell reads it."""
    (command,) = [part for part in error.remedy.split("`") if part.startswith("ltx2-patcher")]
    words = shlex.split(command)
    assert words[:4] == ["ltx2-patcher", "run", "convert", "--"]
    assert words[4 : words.index("--output")] == inputs
    assert words[words.index("--to") + 1 :] == [to]
