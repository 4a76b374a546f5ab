"""What does not go together is told in one sentence, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltx2_patcher.rules.pairing import (
    misfit_of,
    misfit_of_checkpoint,
    misfit_of_gemma,
    misfit_of_pair,
    misfit_of_scales,
)
from ltx2_patcher.values.model import Base
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

CHECKPOINT = Checkpoint("LTX-2.3 22B", 48, "bf16", 188160, 0, (), (), 1)
BASES = [
    Base(name, "url", "0" * 40, "2026-01-01", (), loads, {}, {})
    for name, loads in (
        ("2026-01-08", ("LTX-2 19B",)),
        ("1.0.0", ("LTX-2 19B", "LTX-2.3 22B")),
        ("1.2.0", ("LTX-2 19B", "LTX-2.3 22B", "LTX-2.5 22B")),
    )
]
GEMMA = GemmaRoot("12B", 3840, 48, None, "bf16", False, 5, 0, (), (), (), 1)


def test_what_goes_together_has_no_misfit() -> None:
    assert misfit_of(CHECKPOINT, BASES[1], BASES, "file") is None
    assert misfit_of(GEMMA, BASES[1], BASES, "root") is None
    assert misfit_of_pair(CHECKPOINT, GEMMA) is None
    assert misfit_of_pair(replace(CHECKPOINT, context_width=None), GEMMA) is None


@pytest.mark.parametrize(
    ("base", "variant", "remedy"),
    [
        (BASES[1], "LTX-2.5 22B", "take LTX-2 19B or LTX-2.3 22B, or base 1.2.0"),
        (BASES[0], "LTX-2.3 22B", "take LTX-2 19B, or base 1.0.0 or 1.2.0"),
    ],
)
def test_a_base_refuses_what_came_after_it(base: Base, variant: str, remedy: str) -> None:
    error = misfit_of_checkpoint(replace(CHECKPOINT, variant=variant), base, BASES, "file")
    assert error is not None
    assert error.remedy == remedy


def test_missing_keys_are_counted_and_one_is_named() -> None:
    lacking = replace(CHECKPOINT, missing=("a", "b", "c"))
    error = misfit_of_checkpoint(lacking, BASES[1], BASES, "file")
    assert "lacks a and 2 more" in str(error)
    assert "lacks a" in str(misfit_of_gemma(replace(GEMMA, missing=("a",)), None, "root"))


def test_a_quantized_root_takes_no_other_flag() -> None:
    packed = replace(GEMMA, quantization="4bit", detail="nf4, double quantization")
    assert misfit_of_gemma(packed, None, "root") is None
    assert misfit_of_gemma(packed, "4bit", "root") is None
    error = misfit_of_gemma(packed, "8bit", "root")
    assert error is not None
    assert error.exit_code == 2
    assert "--gemma-4bit" in error.remedy


def test_a_plain_root_in_the_newer_layout_needs_a_flag() -> None:
    newer = replace(GEMMA, newer_layout=True)
    assert misfit_of_gemma(newer, "4bit", "root") is None
    assert misfit_of_gemma(replace(newer, quantization="8bit"), None, "root") is None
    error = misfit_of_gemma(newer, None, "root")
    assert error is not None
    assert "--gemma-4bit" in error.remedy


def test_scales_are_never_ignored_in_silence() -> None:
    scaled = replace(CHECKPOINT, precision="fp8 with scales")
    assert misfit_of_scales(CHECKPOINT, None, "gemma-quant") is None
    assert misfit_of_scales(scaled, "fp8-cast", "ampere") is None
    assert misfit_of_scales(scaled, "fp8-scaled-mm", "gemma-quant") is None
    missing = misfit_of_scales(scaled, None, "ampere")
    assert missing is not None
    assert missing.remedy == "add --quantization fp8-cast"
    early = misfit_of_scales(scaled, "fp8-cast", "gemma-quant")
    assert early is not None
    assert "UPTO" in early.remedy


def test_other_quantizers_and_faults_are_refused() -> None:
    gptq = replace(GEMMA, detail="quantized by 'gptq'")
    assert "gptq" in str(misfit_of_gemma(gptq, "4bit", "root"))
    broken = replace(GEMMA, faults=("shard 1 of 5 is missing",))
    assert "shard 1 of 5" in str(misfit_of_gemma(broken, None, "root"))


def test_a_gemma_of_another_size_is_refused() -> None:
    error = misfit_of_pair(CHECKPOINT, replace(GEMMA, size="4B", width=2560, layers=34))
    assert error is not None
    assert (error.exit_code, "89600" in str(error)) == (3, True)
