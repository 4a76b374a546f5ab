"""What does not go together is told in one sentence, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltx2_patcher.rules.models.pairing import (
    UPSAMPLERS,
    refusal_of,
    refusal_of_checkpoint,
    refusal_of_codes,
    refusal_of_encoder,
    refusal_of_enhancer,
    refusal_of_gemma,
    refusal_of_pair,
    refusal_of_quantization,
    refusal_of_scale,
    refusal_of_upsampler,
)
from ltx2_patcher.rules.models.precision import UNREAD
from ltx2_patcher.values.abilities import Abilities, Ability
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.request import GemmaFlag
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, ModelPart, Upsampler
from tests.weight_files import BESIDE_GEMMA

CHECKPOINT = Checkpoint(
    variant="LTX-2.3 22B",
    layers=48,
    precision="bf16",
    whole=True,
    context_width=188160,
    gemma_version=None,
    fp8_elements=0,
    components=(),
    missing=(),
    bytes=1,
)
PACKED_FILES: frozenset[Ability] = frozenset({"packed-files"})
BASES = [
    Abilities("2026-01-08", ("LTX-2 19B",), frozenset({"any-gemma-names"})),
    Abilities("1.0.0", ("LTX-2 19B", "LTX-2.3 22B"), frozenset()),
    Abilities("1.2.0", ("LTX-2 19B", "LTX-2.3 22B", "LTX-2.5 22B"), PACKED_FILES),
]
OLDEST, MIDDLE, NEWEST = BASES
FOLDING = replace(NEWEST, can=frozenset({"folds-scales"}))
GEMMA = GemmaRoot(
    kind="gemma3",
    size="12B",
    width=3840,
    layers=48,
    version=None,
    packed=False,
    quantization=None,
    detail="bf16",
    newer_layout=False,
    shards=5,
    linear_elements=0,
    projection_width=None,
    components=(),
    beside=frozenset(BESIDE_GEMMA),
    nests_image_processor=False,
    missing=(),
    faults=(),
    bytes=1,
)
GEMMA_4 = replace(GEMMA, kind="gemma4_unified", version="a version", projection_width=188160)
PACKED = replace(GEMMA_4, packed=True)
LTX_2_5 = replace(CHECKPOINT, variant="LTX-2.5 22B", gemma_version="a version")
TRANSFORMER = replace(LTX_2_5, whole=False, context_width=None)
PART = ModelPart("video VAE", "diffusion decoder", (), (), 1)


def _unfit(gemma: GemmaRoot, flag: GemmaFlag | None, base: Abilities) -> PatcherError | None:
    return refusal_of_gemma(gemma, flag, base, BASES, "root")


def test_what_goes_together_has_no_misfit() -> None:
    assert refusal_of(CHECKPOINT, MIDDLE, BASES, "file") is None
    assert refusal_of(GEMMA, MIDDLE, BASES, "root") is None
    assert refusal_of_pair(CHECKPOINT, GEMMA) is None
    for found in (LTX_2_5, TRANSFORMER, GEMMA, GEMMA_4, PACKED, PART):
        assert refusal_of(found, NEWEST, BASES, "file") is None
    for checkpoint in (LTX_2_5, TRANSFORMER):
        for gemma in (GEMMA_4, PACKED):
            assert refusal_of_pair(checkpoint, gemma) is None
            assert refusal_of_encoder(gemma, "root") is None


@pytest.mark.parametrize("found", [TRANSFORMER, PACKED, GEMMA_4, PART])
def test_what_came_with_ltx_2_5_is_for_the_bases_that_load_it(
    found: Checkpoint | GemmaRoot | ModelPart,
) -> None:
    error = refusal_of(found, MIDDLE, BASES, "file")
    assert isinstance(error, UsageError)
    assert "or base 1.2.0" in error.remedy


def test_split_files_are_for_the_bases_that_take_them_whatever_the_model() -> None:
    alone = replace(CHECKPOINT, whole=False)
    packed = replace(GEMMA, packed=True)
    for found, words in ((alone, "whole checkpoints only"), (packed, "packed into one file")):
        assert refusal_of(found, NEWEST, BASES, "file") is None
        assert words in str(refusal_of(found, MIDDLE, BASES, "file"))


@pytest.mark.parametrize(
    ("checkpoint", "gemma", "words"),
    [
        (LTX_2_5, GEMMA, "Gemma 3 12B does not go with LTX-2.5 22B"),
        (TRANSFORMER, GEMMA, "Gemma 3 12B does not go with LTX-2.5 22B"),
        (CHECKPOINT, GEMMA_4, "Gemma 4 12B does not go with LTX-2.3 22B"),
        (LTX_2_5, replace(GEMMA_4, version=None), "trained with Gemma 'a version'"),
        (TRANSFORMER, replace(GEMMA_4, projection_width=None), "holds the text projection"),
        (TRANSFORMER, replace(GEMMA_4, projection_width=9), "takes 9 values a token"),
    ],
)
def test_a_gemma_of_another_model_is_refused_before_both_load(
    checkpoint: Checkpoint, gemma: GemmaRoot, words: str
) -> None:
    error = refusal_of_pair(checkpoint, gemma)
    assert isinstance(error, ConflictError)
    assert words in str(error)


def test_each_gemma_is_for_what_it_can_do() -> None:
    instruct = replace(GEMMA_4, kind="gemma4")
    assert "--prompt-enhancer-gemma-root" in str(refusal_of_encoder(instruct, "root").remedy)  # type: ignore[union-attr]
    assert refusal_of_enhancer(instruct, "--gemma-root", "root") is None
    assert refusal_of_enhancer(GEMMA, "--gemma-root", "root") is None
    assert "can't write" in str(refusal_of_enhancer(GEMMA_4, "--gemma-root", "root"))


@pytest.mark.parametrize(
    ("space", "time", "taken_by"),
    [
        (2.0, 1.0, {"--spatial-upsampler-path"}),
        (1.0, 2.0, {"--temporal-upsampler-path"}),
        (1.5, 1.0, set()),
        (2.0, 2.0, set()),
    ],
)
def test_an_option_takes_its_own_kind_of_upsampler(
    space: float, time: float, taken_by: set[str]
) -> None:
    upsampler = Upsampler(space, time, None, (), 1)
    for option in UPSAMPLERS:
        error = refusal_of_scale(upsampler, option, "file")
        assert (error is None) == (option in taken_by)
        assert error is None or f"upsamples {upsampler.scale}, and" in str(error)


def test_a_base_whose_parser_ends_on_scaled_mm_names_those_that_take_it() -> None:
    able = replace(NEWEST, can=NEWEST.can | {"scaled-mm"})
    assert refusal_of_quantization("fp8-scaled-mm", able, BASES) is None
    assert refusal_of_quantization("fp8-cast", MIDDLE, BASES) is None
    error = refusal_of_quantization("fp8-scaled-mm", MIDDLE, [MIDDLE, able])
    assert "base 1.0.0 can't take --quantization fp8-scaled-mm" in str(error)
    assert error is not None
    assert error.remedy == "give --quantization fp8-cast, or base 1.2.0"


def test_an_upsampler_of_another_model_is_refused() -> None:
    told = Upsampler(2.0, 1.0, "LTX-2", (), 1)
    assert refusal_of_upsampler(LTX_2_5, replace(told, generation=None), "file") is None
    assert refusal_of_upsampler(LTX_2_5, replace(told, generation="LTX-2.5"), "file") is None
    error = refusal_of_upsampler(LTX_2_5, told, "file")
    assert str(error) == "file is the upsampler of LTX-2, which does not go with LTX-2.5 22B"


@pytest.mark.parametrize(
    ("base", "name"),
    [(MIDDLE, "tokenizer.model"), (NEWEST, "tokenizer.json"), (NEWEST, "processor_config.json")],
)
def test_each_base_looks_up_its_own_files_beside_a_gemma(base: Abilities, name: str) -> None:
    lacking = replace(GEMMA, beside=GEMMA.beside - {name})
    assert f"root lacks {name}, which base {base.base} reads" in str(_unfit(lacking, None, base))
    other = NEWEST if base is MIDDLE else MIDDLE
    assert _unfit(lacking, None, other) is None


def test_all_that_is_missing_beside_a_gemma_is_named_at_once() -> None:
    """With where they are from: a root that somebody quantized can't be downloaded again."""
    error = _unfit(replace(GEMMA, beside=frozenset()), None, MIDDLE)
    assert "root lacks tokenizer.model, preprocessor_config.json" in str(error)
    assert error is not None
    assert "copy them there from google/gemma-3-12b-it" in error.remedy


def test_the_newest_base_takes_the_image_processor_from_either_of_two_files() -> None:
    """Older ones read preprocessor_config.json alone."""
    beside = GEMMA.beside - {"preprocessor_config.json"}
    apart = replace(GEMMA, beside=beside)
    nested = replace(apart, nests_image_processor=True)
    assert "root lacks preprocessor_config.json, which base 1.2.0" in str(
        _unfit(apart, None, NEWEST)
    )
    assert _unfit(nested, None, NEWEST) is None
    assert "root lacks preprocessor_config.json" in str(_unfit(nested, None, MIDDLE))


@pytest.mark.parametrize(
    ("base", "variant", "remedy"),
    [
        (MIDDLE, "LTX-2.5 22B", "take LTX-2 19B or LTX-2.3 22B, or base 1.2.0"),
        (OLDEST, "LTX-2.3 22B", "take LTX-2 19B, or base 1.0.0 or 1.2.0"),
    ],
)
def test_a_base_refuses_what_came_after_it(base: Abilities, variant: str, remedy: str) -> None:
    error = refusal_of_checkpoint(replace(CHECKPOINT, variant=variant), base, BASES, "file")
    assert error is not None
    assert error.remedy == remedy


def test_metadata_of_another_model_is_refused() -> None:
    for stated in ("LTX-2.3", "LTX-2.4", None):  # nobody knows how a 2.4 would look
        assert refusal_of_checkpoint(replace(CHECKPOINT, stated=stated), MIDDLE, BASES, "f") is None
    for stated in ("LTX-2", "LTX-2.5"):
        error = refusal_of_checkpoint(replace(CHECKPOINT, stated=stated), MIDDLE, BASES, "file")
        assert isinstance(error, InvalidError)
        assert f"tensors of LTX-2.3 22B, and its metadata says that it is {stated}," in str(error)


def test_missing_keys_are_counted_and_one_is_named() -> None:
    lacking = replace(CHECKPOINT, missing=("a", "b", "c"))
    error = refusal_of_checkpoint(lacking, MIDDLE, BASES, "file")
    assert "lacks a and 2 more" in str(error)
    assert "lacks a" in str(_unfit(replace(GEMMA, missing=("a",)), None, MIDDLE))
    part = refusal_of(replace(PART, missing=("a", "b")), NEWEST, BASES, "file")
    assert str(part) == "the video VAE (diffusion decoder) in file lacks a and 1 more"


def test_a_quantized_root_takes_no_other_flag() -> None:
    packed = replace(GEMMA, quantization="4bit", detail="nf4, double quantization")
    assert _unfit(packed, None, MIDDLE) is None
    assert _unfit(packed, "4bit", MIDDLE) is None
    error = _unfit(packed, "8bit", MIDDLE)
    assert error is not None
    assert error.exit_code == 2
    assert "--gemma-4bit" in error.remedy


def test_a_plain_root_in_the_newer_layout_needs_a_flag() -> None:
    newer = replace(GEMMA, newer_layout=True)
    assert _unfit(newer, "4bit", MIDDLE) is None
    assert _unfit(replace(newer, quantization="8bit"), None, MIDDLE) is None
    error = _unfit(newer, None, MIDDLE)
    assert error is not None
    assert "--gemma-4bit" in error.remedy


def test_transformers_takes_the_newer_layout_where_it_reads_the_names() -> None:
    assert _unfit(replace(GEMMA, newer_layout=True), None, OLDEST) is None


@pytest.mark.parametrize("precision", sorted(UNREAD))
def test_codes_that_no_upstream_reads_are_refused(precision: str) -> None:
    stored = replace(CHECKPOINT, precision=precision)
    assert precision in str(refusal_of(stored, MIDDLE, BASES, "file"))
    lacking = replace(stored, missing=("a.weight",))  # as its codes have other names
    assert precision in str(refusal_of(lacking, MIDDLE, BASES, "file"))


def test_nvfp4_is_read_by_its_own_name_alone() -> None:
    stored = replace(CHECKPOINT, precision="nvfp4")
    assert refusal_of(stored, MIDDLE, BASES, "file") is None
    assert refusal_of_codes(stored, "nvfp4-prequant", "", FOLDING) is None
    for quantization in (None, "fp8-cast"):
        error = refusal_of_codes(stored, quantization, "", FOLDING)
        assert "--quantization nvfp4-prequant" in str(error)


def test_scales_are_never_ignored_in_silence() -> None:
    scaled = replace(CHECKPOINT, precision="fp8 with scales")
    cast = "--quantization fp8-cast"
    assert refusal_of_codes(CHECKPOINT, None, cast, MIDDLE) is None
    assert refusal_of_codes(scaled, "fp8-cast", cast, FOLDING) is None
    assert refusal_of_codes(scaled, "fp8-scaled-mm", cast, MIDDLE) is None
    for way in (cast, "--enable-fp8"):
        missing = refusal_of_codes(scaled, None, way, FOLDING)
        assert missing is not None
        assert missing.remedy == f"add {way}"
        assert str(missing).endswith(way)
    early = refusal_of_codes(scaled, "fp8-cast", cast, MIDDLE)
    assert early is not None
    assert "`ltx2-patcher apply --base 1.0.0`" in early.remedy


def test_fp8_without_scales_needs_the_flag_where_nothing_widens_it() -> None:
    """From 2026-04-13 on the first block ends at the product of bf16 and fp8."""
    stored = replace(CHECKPOINT, precision="fp8")
    cast = "--quantization fp8-cast"
    error = refusal_of_codes(stored, None, cast, FOLDING)
    assert error is not None
    assert (error.exit_code, error.remedy) == (2, f"add {cast}")
    assert refusal_of_codes(stored, "fp8-cast", cast, FOLDING) is None
    widening = replace(FOLDING, can=frozenset({"widens-fp8"}))
    assert refusal_of_codes(stored, None, cast, widening) is None
    wide = replace(CHECKPOINT, precision="fp8 e5m2")  # our patch casts it
    assert refusal_of_codes(wide, None, cast, FOLDING) is None


def test_other_quantizers_and_faults_are_refused() -> None:
    gptq = replace(GEMMA, detail="quantized by 'gptq'")
    assert "gptq" in str(_unfit(gptq, "4bit", MIDDLE))
    broken = replace(GEMMA, faults=("shard 1 of 5 is missing",))
    assert "shard 1 of 5" in str(_unfit(broken, None, MIDDLE))


def test_a_gemma_of_another_size_is_refused() -> None:
    error = refusal_of_pair(CHECKPOINT, replace(GEMMA, size="4B", width=2560, layers=34))
    assert error is not None
    assert (error.exit_code, "89600" in str(error)) == (3, True)
