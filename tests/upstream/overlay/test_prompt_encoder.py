"""Gemma 3 and 4, as folders and packed files, through upstream's PromptEncoder."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors
import torch
from ltx_core.text_encoders.gemma.quantized import (
    GemmaFlagsError,
    GemmaOutputError,
    GemmaRootError,
)
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import INT8, NF4, Method
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from tests.upstream.gemma_files import write_tokenizer
from tests.upstream.overlay.conftest import ASKED_FOR, methods
from tests.upstream.weight_files import made_layers
from verify.campaigns.gemma_reference import (
    TOKENS,
    assert_equal,
    from_pretrained,
    hidden_states,
    settings_for,
)
from verify.synthetic.architecture import SIZES, GemmaFamily
from verify.synthetic.gemma_root import GemmaStorage, write_gemma_root

if TYPE_CHECKING:
    from ltx_pipelines.utils.blocks import PromptEncoder

pytestmark = pytest.mark.revisions(since="2026-08-11")
CPU = torch.device("cpu")
PROMPT = "a red fox runs over fresh snow at dawn"

# A root and the folder that transformers reads the same weights from.
KINDS = ("3", "3, packed", "4", "4, packed", "4, packed as the hub spells it", "4 instruct")
kinds = pytest.mark.parametrize("kind", KINDS)
Roots = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    made = tmp_path_factory.mktemp("gemmas")

    @cache
    def folder(family: str) -> Path:
        root = made / family
        if family == "4 instruct":
            write_instruct_root(root)
        else:
            size = SIZES["tiny"].gemma[GemmaFamily(family)]
            write_gemma_root(root, size, GemmaStorage(), seed=0)
        return root

    @cache
    def root_of(kind: str) -> tuple[Path, Path]:
        family, _, packed = kind.partition(", ")
        source = folder(family)
        if not packed:
            return source, source
        file = made / f"{kind}.safetensors"
        projection = {"text_embedding_projection.audio_aggregate_embed.bias": torch.randn(33)}
        write_packed(file, source, projection, flat=packed == "packed")
        return file, source

    return root_of


def write_packed(
    file: Path, root: Path, projection: dict[str, torch.Tensor], *, flat: bool
) -> None:
    """As upstream packs a root: with flat names, or with those of the hub."""
    from ltx_core.text_encoders.gemma import gemma_assets

    tensors, metadata = gemma_assets.build_text_encoder_tensors_from_gemma_root(
        str(root), projection, comfy_flat_lm_keys=flat
    )
    gemma_assets.save_text_encoder_safetensors(file, tensors, metadata)


def write_instruct_root(root: Path) -> None:
    """A dense Gemma 4, with embeddings a layer: what enhances prompts for LTX-2.5."""
    from transformers import Gemma4Config

    config = Gemma4Config(
        text_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_key_value_heads": 2,
            "num_kv_shared_layers": 0,
            "vocab_size": 512,
            "vocab_size_per_layer_input": 512,
            "hidden_size_per_layer_input": 64,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 16,
            "position_embedding_size": 256,
        },
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.3 if "embed" in name else parameter.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):
                buffer.fill_(0.7)
    model.bfloat16().save_pretrained(root)
    write_tokenizer(root)


def prompt_encoder(root: Path, method: Method | None = None, **keywords: Any) -> PromptEncoder:
    from ltx_pipelines.utils.blocks import PromptEncoder
    from ltx_pipelines.utils.model_paths import ModelPaths

    flags = {} if method is None else {f"gemma_{method.label}": True}
    paths = ModelPaths.from_monolith("unread", gemma_root=str(root))
    return PromptEncoder(paths, torch.bfloat16, CPU, **flags, **keywords)


def quantized_layers(encoder: Any) -> list[str]:
    return [
        name
        for name, module in encoder.model.named_modules()
        if type(module).__module__.startswith("ltx_core.text_encoders.gemma.quantized")
    ]


# --- the same bits as transformers' ---


@kinds
@methods
def test_hidden_states_equal_transformers_and_generation_runs(
    roots: Roots, kind: str, method: Method
) -> None:
    root, source = roots(kind)
    theirs = from_pretrained(source, settings_for(method))
    ours = prompt_encoder(root, method)._build_text_encoder()
    assert_equal(ours.model, theirs)
    assert quantized_layers(ours)
    assert all(".language_model." in name for name in quantized_layers(ours))
    assert ours.model.lm_head.weight is ours.model.get_input_embeddings().weight
    kept = {p.dtype for p in ours.model.parameters() if p.is_floating_point()}
    assert kept == {torch.bfloat16}
    with torch.inference_mode():
        written = [
            model.generate(TOKENS, max_new_tokens=6, do_sample=False)
            for model in (ours.model, theirs)
        ]
    assert torch.equal(*written)


@kinds
def test_without_a_flag_upstreams_builder_is_as_it_was(roots: Roots, kind: str) -> None:
    root, source = roots(kind)
    plain = prompt_encoder(root)
    assert plain._streaming_text_encoder_builder is not None
    assert_equal(plain._build_text_encoder().model, from_pretrained(source))


@kinds
@methods
def test_a_converted_root_gives_the_same_bits_without_a_flag_or_with_its_own(
    roots: Roots, tmp_path: Path, kind: str, method: Method
) -> None:
    root, source = roots(kind)
    output = tmp_path / f"out{root.suffix}"
    done = convert_root(root, output, method, CPU)
    assert (done.output, output.is_file()) == (output, root.is_file())
    assert done.bytes_after < done.bytes_before
    theirs = from_pretrained(source, settings_for(method))
    for flag in (None, method):
        assert_equal(prompt_encoder(output, flag)._build_text_encoder().model, theirs)
    if output.is_dir():
        assert_equal(from_pretrained(output), theirs)
    other = next(other for other in ASKED_FOR if other != method)
    with pytest.raises(GemmaFlagsError, match=f"already quantized to {method.label}"):
        prompt_encoder(output, other)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_what_else_a_packed_file_holds_stays_as_it_is(roots: Roots, tmp_path: Path) -> None:
    root, _ = roots("4, packed")
    output = convert_root(root, tmp_path / "out.safetensors", NF4, CPU).output
    before, after = load_file(root), load_file(output)
    others = [name for name in before if not name.startswith(("model.", "vision_model."))]
    assert "tokenizer_json" in others
    assert "text_embedding_projection.audio_aggregate_embed.bias" in others
    for name in others:
        assert after[name].dtype == before[name].dtype
        assert torch.equal(after[name], before[name])


@pytest.mark.revisions(since="2026-08-16")  # of the group int8
@pytest.mark.parametrize("target", ["bf16", "4bit", "8bit"])
@pytest.mark.parametrize("marked_by", ["tensors", "the header"])
def test_a_packed_file_that_comfyui_quantized_becomes_a_plain_or_a_quantized_one(
    roots: Roots, tmp_path: Path, target: str, marked_by: str
) -> None:
    """As the int8 Gemma that is published beside LTX-2.5, with rotated weights."""
    from ltx_core.weight_files.gemma import TARGETS, convert_gemma

    root, _ = roots("4, packed")
    with safetensors.safe_open(root, "pt") as file:
        metadata = file.metadata()
    plain = load_file(root)
    stored, stated = dict(plain), {}
    for number, name in enumerate(n for n in plain if n.endswith("_proj.weight")):
        layer = name.removesuffix(".weight")
        rows, columns = plain[name].shape
        made = made_layers.int8(rows, columns, number, (rows, 1), 16)
        plain[name] = torch.from_numpy(made.values).to(torch.bfloat16)
        stored.update(made.named(layer))
        stated[layer] = made.marker
    assert stated
    header = dict(metadata)
    if marked_by == "the header":
        stored = {name: t for name, t in stored.items() if not name.endswith(".comfy_quant")}
        header["_quantization_metadata"] = json.dumps({"layers": stated})
    save_file(stored, tmp_path / "comfy.safetensors", header)
    save_file(plain, tmp_path / "plain.safetensors", metadata)
    done = convert_gemma(
        [tmp_path / "comfy.safetensors"], tmp_path / "out.safetensors", target, CPU
    )
    theirs = prompt_encoder(tmp_path / "plain.safetensors", TARGETS[target])
    ours = prompt_encoder(done.output, None)
    assert_equal(ours._build_text_encoder().model, theirs._build_text_encoder().model)
    with safetensors.safe_open(done.output, "pt") as file:
        assert "_quantization_metadata" not in file.metadata()
    after = load_file(done.output)
    assert torch.equal(after["tokenizer_json"], plain["tokenizer_json"])
    assert after.keys() >= {n for n in plain if not n.endswith("_proj.weight")}


def test_a_packed_file_becomes_one_by_that_name_only(roots: Roots, tmp_path: Path) -> None:
    root, _ = roots("4, packed")
    with pytest.raises(GemmaOutputError, match=r"an output that ends with .safetensors"):
        convert_root(root, tmp_path / "folder", NF4, CPU)
    assert list(tmp_path.iterdir()) == []


@methods
def test_a_gemma_4_that_transformers_saved_quantized_loads(
    roots: Roots, tmp_path: Path, method: Method
) -> None:
    _, source = roots("4")
    theirs = from_pretrained(source, settings_for(method))
    theirs.save_pretrained(tmp_path)
    for file in source.iterdir():
        if file.name != "config.json" and not file.name.startswith("model"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert_equal(prompt_encoder(tmp_path)._build_text_encoder().model, theirs)


# --- meta models, registries, dispose() ---


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """The collector passes over what was there before, a million objects of torch's imports."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def live_bytes() -> int:
    """Of every tensor that the collector knows, each storage once."""
    gc.collect()
    held = [
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), torch.Tensor) and not thing.is_meta
    ]
    storages = [tensor.untyped_storage() for tensor in held]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.core
@pytest.mark.parametrize("kind", ["3", "4", "4, packed"])
@pytest.mark.usefixtures("only_new_objects")
@methods
def test_ten_calls_of_two_encoders_on_one_registry_give_memory_back(
    roots: Roots, kind: str, method: Method
) -> None:
    """What a meta model keeps between calls is what upstream's own keeps: a few small buffers."""
    from ltx_core.loader.registry import ModelRegistry

    registry = ModelRegistry(cache_models=True, cache_weights=False)
    root, source = roots(kind)
    expected = hidden_states(from_pretrained(source, settings_for(method)))
    encoders = [prompt_encoder(root, method, registry=registry) for _ in range(2)]
    after: list[int] = []
    for number in range(10):
        with torch.inference_mode(), encoders[number % 2]._text_encoder_ctx() as encoder:
            states = hidden_states(encoder.model)
            assert all(torch.equal(*pair) for pair in zip(states, expected, strict=True))
            if number == 3:
                encoder.model.generate(TOKENS, max_new_tokens=2)
            during = live_bytes()
        del encoder, states
        after.append(live_bytes())
    assert len(registry._models) == 1
    assert during - after[-1] > 100_000
    assert max(after) - min(after) < 4096
    assert after[-1] <= after[0] + 64


def test_plain_and_quantized_encoders_share_a_registry_that_keeps_all(roots: Roots) -> None:
    from ltx_core.loader.registry import ModelRegistry

    registry = ModelRegistry(cache_models=True, cache_weights=True)
    root, source = roots("4")
    ways = [None, NF4, INT8]
    encoders = [prompt_encoder(root, way, registry=registry) for way in ways]
    expected = [from_pretrained(source, way and settings_for(way)) for way in ways]
    for _ in range(2):
        for encoder, theirs in zip(encoders, expected, strict=True):
            with encoder._text_encoder_ctx() as held:
                assert_equal(held.model, theirs)
    assert (len(registry._models), len(registry._state_dicts)) == (3, 3)


# --- offload, enhancer ---


@pytest.mark.parametrize("offload", ["cpu", "disk"])
@pytest.mark.parametrize("prequantized", [False, True])
def test_where_the_transformer_streams_a_quantized_gemma_is_resident(
    roots: Roots, tmp_path: Path, offload: str, prequantized: bool
) -> None:
    from ltx_pipelines.utils.types import OffloadMode

    root, source = roots("4")
    if prequantized:
        root = convert_root(root, tmp_path / "out", NF4, CPU).output
    flag = None if prequantized else NF4
    encoder = prompt_encoder(root, flag, offload_mode=OffloadMode(offload))
    with encoder._text_encoder_ctx() as held:
        assert type(held).__name__ == "LTXGemmaTextEncoder"
        assert_equal(held.model, from_pretrained(source, settings_for(NF4)))


@methods
def test_a_separate_enhancer_is_quantized_too(roots: Roots, method: Method) -> None:
    encode_root, _ = roots("4")
    root, source = roots("4 instruct")
    encoder = prompt_encoder(encode_root, method, prompt_enhancer_gemma_root=str(root))
    enhancer = encoder._build_enhancer_text_encoder()
    assert_equal(enhancer.model, from_pretrained(source, settings_for(method)))
    assert quantized_layers(encoder._build_text_encoder())
    written = enhancer.enhance_t2v(PROMPT, max_new_tokens=4)
    assert isinstance(written, str)


def test_an_enhancer_of_the_same_root_is_the_encoder(roots: Roots) -> None:
    root, _ = roots("3")
    encoder = prompt_encoder(root, NF4, prompt_enhancer_gemma_root=str(root))
    assert encoder._enhancer_text_encoder_builder is encoder._text_encoder_builder


# --- several cards ---


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process."""
    import torch.distributed as dist

    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
@methods
def test_a_replica_a_card_may_be_quantized(roots: Roots, method: Method) -> None:
    import torch.distributed as dist
    from ltx_core.loader.registry import ModelRegistry
    from ltx_pipelines.multigpu.bp_gemma_builder import BatchParallelGemmaBuilder

    root, _ = roots("4")
    flags = {f"gemma_{method.label}": True}
    builder = BatchParallelGemmaBuilder(
        str(root), dist.group.WORLD, ModelRegistry(), src_rank=0, **flags
    )
    with torch.inference_mode():
        ((states, _),) = builder.build(device=CPU).encode([PROMPT])
        ((expected, _),) = prompt_encoder(root, method)._build_text_encoder().encode([PROMPT])
    assert all(torch.equal(*pair) for pair in zip(states, expected, strict=True))


@pytest.mark.usefixtures("alone")
def test_a_gemma_spread_over_cards_is_refused_quantized(roots: Roots, tmp_path: Path) -> None:
    from ltx_core.loader.registry import ModelRegistry
    from ltx_pipelines.multigpu.gemma_builders import AccelerateGemmaBuilder

    root, _ = roots("4")
    AccelerateGemmaBuilder(str(root), None, None, ModelRegistry(), src_rank=0)
    quantized = convert_root(root, tmp_path / "out", INT8, CPU).output
    with pytest.raises(GemmaRootError, match=r"quantized to 8bit, which .*; give a bf16 Gemma"):
        AccelerateGemmaBuilder(str(quantized), None, None, ModelRegistry(), src_rank=0)


def test_a_builder_of_ones_own_takes_no_flag(roots: Roots) -> None:
    root, _ = roots("4")
    own = prompt_encoder(root)._text_encoder_builder
    prompt_encoder(root, text_encoder_builder=own)
    with pytest.raises(GemmaFlagsError, match=r"--gemma-8bit cannot be taken here"):
        prompt_encoder(root, INT8, text_encoder_builder=own)


SCRIPTS_FOR_SEVERAL = ["distilled_mgpu", "ti2vid_two_stages_mgpu", "ti2vid_two_stages_hq_mgpu"]


@pytest.mark.parametrize("script", SCRIPTS_FOR_SEVERAL)
@pytest.mark.parametrize("quantized", ["--gemma-4bit", "root"])
def test_scripts_for_several_cards_refuse_with_a_reason(
    roots: Roots, tmp_path: Path, script: str, quantized: str
) -> None:
    from safetensors.torch import save_file

    root, _ = roots("3")
    checkpoint = tmp_path / "checkpoint.safetensors"
    save_file({"x": torch.zeros(1)}, checkpoint, metadata={"model_version": "2.3.0"})
    flags = [quantized]
    if quantized == "root":
        root, flags = convert_root(root, tmp_path / "out", NF4, CPU).output, []
    arguments = ["--gemma-root", str(root), "--prompt", "a fox", "--output-path", "out.mp4"]
    arguments += ["--spatial-upsampler-path", str(checkpoint), *flags]
    if script == "distilled_mgpu":
        arguments += ["--distilled-checkpoint-path", str(checkpoint)]
    else:
        arguments += ["--checkpoint-path", str(checkpoint), "--distilled-lora", str(checkpoint)]
    done = subprocess.run(
        [sys.executable, "-m", f"ltx_pipelines.{script}", *arguments],
        env=dict(os.environ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    refusal = GemmaRootError if quantized == "root" else GemmaFlagsError
    assert (done.returncode, "Traceback" in done.stderr) == (refusal.exit_code, False)
    assert "multi-GPU runs spread one unquantized Gemma over the cards" in last
