"""A LoRA that would have no effect, or another than it was trained for, is told by its header."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.models.lora import (
    cautions_of_lora,
    is_adapter,
    modules_of,
    refusal_of_layout,
    refusal_of_lora,
    refusal_of_paths,
    refusal_of_rest,
)
from ltx2_patcher.rules.models.safetensors_header import parse_header
from ltx2_patcher.rules.models.variant import identify
from ltx2_patcher.values.abilities import Abilities, Ability
from ltx2_patcher.values.errors import PatcherError
from ltx2_patcher.values.request import InputFile, Request
from ltx2_patcher.values.weights import Lora
from tests.conftest import ROOT
from tests.weight_files import Spec, header, lora_of, plain

TO_Q, TO_OUT, GATE = (
    f"transformer_blocks.0.attn1.{name}" for name in ("to_q", "to_out.0", "to_gate_logits")
)
CONNECTOR = "video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q"
TRANSFORMER = parse_header(
    *header(
        {
            f"model.diffusion_model.{TO_Q}.weight": ("BF16", (8, 6)),
            f"model.diffusion_model.{TO_OUT}.weight": ("F8_E4M3", (8, 6)),
            f"model.diffusion_model.{CONNECTOR}.weight": ("BF16", (8, 6)),
            "model.diffusion_model.scale_shift_table": ("BF16", (2, 6)),
            "vae.decoder.conv_in.weight": ("BF16", (8, 6)),
        }
    ),
    "a model",
)
MODULES = modules_of(TRANSFORMER.tensors)
NAMES = Store(ROOT).lora_names()


def read(tensors: Spec) -> Lora:
    found = identify(parse_header(*header(tensors), "a file"), "a file")
    assert isinstance(found, Lora)
    return found


def refusal(tensors: Spec) -> PatcherError | None:
    return refusal_of_lora(read(tensors), MODULES, NAMES, "LTX-2 19B", "a.safetensors")


def told(tensors: Spec) -> list[str]:
    assert refusal(tensors) is None
    found = cautions_of_lora(read(tensors), MODULES, NAMES, "LTX-2 19B", "a.safetensors")
    return [finding.fact for finding in found]


def pair(module: str, down: str = "lora_A.weight", up: str = "lora_B.weight") -> Spec:
    """A pair of rank 2 that fits the modules above."""
    return {f"{module}.{down}": ("BF16", (2, 6)), f"{module}.{up}": ("BF16", (8, 2))}


def test_a_lora_changes_what_is_linear_in_the_transformer() -> None:
    assert MODULES == {TO_Q: (8, 6), TO_OUT: (8, 6)}


KOHYA = ("lora_down.weight", "lora_up.weight")


@pytest.mark.parametrize(
    "tensors",
    [
        pair(TO_Q),
        pair(f"diffusion_model.{TO_Q}"),
        pair(f"model.diffusion_model.{TO_Q}"),
        pair(f"transformer.{TO_Q}"),
        pair(f"base_model.model.{TO_Q}"),
        pair(f"base_model.model.diffusion_model.{TO_OUT}"),
        pair(f"diffusion_model.{TO_Q}", "lora_A.default.weight", "lora_B.default.weight"),
        pair(f"diffusion_model.{TO_Q}", *KOHYA),
        pair(f"transformer.{TO_Q}", "lora.down.weight", "lora.up.weight"),
        pair("lora_unet_transformer_blocks_0_attn1_to_out_0", *KOHYA),
        pair("lycoris_transformer_blocks_0_attn1_to_q", *KOHYA),
        {**pair(TO_Q), f"{TO_Q}.alpha": ("F32", ())},
        {**pair(f"diffusion_model.{TO_Q}"), **pair(f"diffusion_model.{TO_OUT}", *KOHYA)},
    ],
    ids=min,
)
def test_what_the_loader_reads_has_its_effect(tensors: Spec) -> None:
    assert told(tensors) == []


@pytest.mark.parametrize(
    ("tensors", "unread"),
    [
        (pair(f"diffusion_model.{TO_Q}"), None),
        (pair(TO_Q), None),
        (pair(f"model.diffusion_model.{TO_Q}"), "model.diffusion_model."),
        (pair(f"transformer.{TO_Q}"), "transformer."),
        (pair(f"diffusion_model.{TO_Q}", *KOHYA), "lora_down.weight"),
        ({**pair(f"diffusion_model.{TO_Q}"), **pair(TO_OUT, *KOHYA)}, "lora_down.weight"),
        ({**pair(TO_Q), f"{TO_Q}.alpha": ("F32", ())}, ".alpha"),
    ],
)
def test_without_our_patch_upstreams_own_layout_alone_is_read(
    tensors: Spec, unread: str | None
) -> None:
    """A tree that is patched up to an earlier group would make a clip without the LoRA."""
    assert refusal(tensors) is None
    for can in (frozenset[Ability](), frozenset[Ability]({"any-lora-layout"})):
        able = Abilities("1.0.0", (), can)
        error = refusal_of_layout(read(tensors), MODULES, NAMES, able, "a.safetensors")
        assert (error is None) is (unread is None or able.reads_any_lora_layout)
        if error is not None:
            assert str(unread) in str(error)
            assert "`ltx2-patcher apply --base 1.0.0`" in error.remedy


@pytest.mark.parametrize(
    ("tensors", "method"),
    [
        ({**pair(TO_Q), f"{TO_Q}.dora_scale": ("BF16", (8, 1))}, "DoRA"),
        ({**pair(TO_Q), f"{TO_Q}.lora_magnitude_vector.weight": ("BF16", (8,))}, "DoRA"),
        ({f"{TO_Q}.lokr_w1": ("BF16", (2, 2)), f"{TO_Q}.lokr_w2": ("BF16", (4, 3))}, "LoKr"),
        (dict.fromkeys((f"{TO_Q}.hada_w1_a", f"{TO_Q}.hada_w1_b"), ("BF16", (2, 2))), "LoHa"),
    ],
)
def test_another_method_is_refused_by_name(tensors: Spec, method: str) -> None:
    assert f"is a {method}, and upstream reads plain LoRAs" in str(refusal(tensors))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("diffusion_model.double_blocks.0.img_attn.qkv", "is of FLUX or HunyuanVideo"),
        ("diffusion_model.blocks.0.self_attn.q", "is of Wan"),
        ("unet.down_blocks.1.attentions.0.proj_in", "is of Stable Diffusion"),
        ("diffusion_model.transformer_blocks.9.attn1.to_q", "is of another model"),
        (f"diffusion_model.{CONNECTOR}", "is for the text connectors"),
    ],
)
def test_a_lora_of_something_else_is_refused(module: str, words: str) -> None:
    assert words in str(refusal(pair(module)))


def test_a_lora_of_another_width_is_refused() -> None:
    """Upstream would fail at it, with the whole model loaded."""
    error = refusal(lora_of(f"diffusion_model.{TO_Q}", widths=(16, 6)))
    assert f"changes {TO_Q} as 6 to 16 values, and LTX-2 19B has it as 6 to 8" in str(error)


@pytest.mark.parametrize(
    "shapes",
    [
        {"A": (2, 6)},
        {"A": (), "B": ()},
        {"A": (2, 6, 1), "B": (8, 2, 1)},
        {"A": (4, 6), "B": (8, 2)},
        {"A": (0, 6), "B": (8, 0)},
    ],
    ids=["half", "scalars", "three dimensions", "two ranks", "rank 0"],
)
def test_a_torn_pair_is_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    """Upstream would pass over a half, and fail at the others with the model loaded."""
    tensors: Spec = {f"{TO_Q}.lora_{name}.weight": ("BF16", s) for name, s in shapes.items()}
    assert f"what changes {TO_Q} is no pair" in str(refusal({**tensors, **pair(TO_OUT)}))


def test_an_alpha_of_several_numbers_is_refused() -> None:
    assert "an alpha of 2 numbers" in str(refusal({**pair(TO_Q), f"{TO_Q}.alpha": ("F32", (2,))}))


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        ("F8_E4M3", "v.bfloat16()"),
        ("F8_E5M2", "v.bfloat16()"),
        ("I8", "download it in BF16 or F16"),
    ],
)
def test_a_lora_in_what_no_upstream_multiplies_is_refused(dtype: str, remedy: str) -> None:
    error = refusal({name: (dtype, shape) for name, (_, shape) in pair(TO_Q).items()})
    assert f"is stored as {dtype}, which upstream can't multiply" in str(error)
    assert error is not None
    assert error.remedy.endswith(remedy) or ("F8" in dtype and remedy in error.remedy)


@pytest.mark.parametrize(
    ("option", "base", "refused"),
    [("--loras", "1.0.0", True), ("--loras", "2026-04-13", False), ("--lora", "1.0.0", False)],
)
def test_loras_that_retake_hands_on_as_paths_are_refused(
    option: str, base: str, refused: bool
) -> None:
    others = [
        Abilities("1.0.0", (), frozenset()),
        Abilities("2026-04-13", (), frozenset({"loras-in-retake"})),
        Abilities("1.2.0", (), frozenset({"loras-in-retake"})),
    ]
    able = next(other for other in others if other.base == base)
    request = Request("retake", files=(InputFile(option, Path("a.safetensors")),))
    error = refusal_of_paths(request, able, others)
    assert (error is not None) is refused
    if error is not None:
        assert "--loras: the retake of base 1.0.0" in str(error)
        assert (
            error.remedy == "leave it out, or take base 2026-04-13, which has --lora in its place"
        )
    assert refusal_of_paths(Request("retake"), able, others) is None


@pytest.mark.parametrize(("changed", "refused"), [(TO_Q, True), (TO_OUT, False)])
def test_a_lora_that_leaves_fp8_beside_its_bf16_needs_fp8_cast(changed: str, refused: bool) -> None:
    """Before 2026-04-13 upstream makes bf16 of what a LoRA changes, and of nothing else."""
    way = "--quantization fp8-cast"
    error = refusal_of_rest(read(pair(changed)), TRANSFORMER.tensors, NAMES, way, "a.safetensors")
    assert (error is not None) is refused
    if error is not None:
        assert (
            f"a.safetensors leaves model.diffusion_model.{TO_OUT}.weight of the checkpoint in fp8"
            in str(error)
        )
        assert error.remedy == f"add {way}"


def test_what_is_left_out_is_counted_by_kind() -> None:
    others = [f"diffusion_model.{CONNECTOR}", f"diffusion_model.{GATE}"]
    tensors = {**pair(f"diffusion_model.{TO_Q}"), **pair(others[0]), **pair(others[1])}
    (fact,) = told({**tensors, "diffusion_model.proj_out.diff": ("BF16", (2,))})
    assert "2 of 7 tensors change LTX-2 19B; left out: " in fact
    assert fact.endswith(" and 2 more kinds")


ANY_NAME = st.builds(
    lambda *parts: ".".join(filter(None, parts)),
    st.sampled_from(["", "diffusion_model", "model", "transformer", "base_model.model"]),
    st.sampled_from([TO_Q, TO_Q.replace(".", "_"), CONNECTOR, "", "blocks.0.ffn.2"]),
    st.sampled_from(["lora_A.weight", "lora_B.weight", "lora_up.weight", "lokr_w1", "alpha"]),
)


@given(st.lists(ANY_NAME, min_size=1, unique=True), st.sampled_from([(), (3,), (2, 6), (8, 2)]))
def test_any_file_is_answered(names: list[str], shape: tuple[int, ...]) -> None:
    found = identify(parse_header(*header(plain(names, shape)), "a file"), "a file")
    assert isinstance(found, Lora) is any(map(is_adapter, names))
    if isinstance(found, Lora):
        error = refusal_of_lora(found, MODULES, NAMES, "LTX-2 19B", "a file")
        assert error is None or error.remedy
        assert len(list(cautions_of_lora(found, MODULES, NAMES, "LTX-2 19B", "a file"))) <= 1
