"""Two recordings, compared and judged: what differs first, and by how much it is out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltx2_patcher.values.errors import InvalidError, UsageError
from tests.upstream.verify.clips.recordings import (
    PLAIN,
    QUANTIZED,
    SHAPE,
    write_recording,
)
from verify.clips.compare import compare, require_comparable
from verify.clips.judge import BOUNDS, judge, read_bounds, spelled
from verify.clips.manifest import HIDDEN, LATENTS, Manifest, WeightFile, open_recording
from verify.upstream.command_line import Gemma

BOUND = read_bounds()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_recording(tmp_path_factory.mktemp("recordings") / "reference")


def test_equal_recordings_are_equal(reference: Any, tmp_path: Path) -> None:
    compared = compare(reference, write_recording(tmp_path / "other"))
    assert [m.first_difference for m in compared.cases] == [None, None]
    assert all(m.psnr_db == (float("inf"),) * SHAPE.frames for m in compared.cases)
    assert all(m.ssim == (1.0,) * SHAPE.frames for m in compared.cases)
    verdict = judge(compared, BOUND)
    assert verdict.passed
    assert "every byte of 2 clips is equal" in verdict.text


@pytest.mark.parametrize(
    ("noise", "stage"),
    [
        ({"hidden_noise": 0.1}, "text encoding (text 0, layer 0)"),
        ({"latent_noise": 0.1}, "video latents"),
        ({"picture_noise": {3: 9.0}}, "frames (frame 3)"),
    ],
)
def test_the_first_stage_that_differs_is_named(
    noise: dict[str, Any], stage: str, reference: Any, tmp_path: Path
) -> None:
    """Equality was asked for: both are bf16."""
    verdict = judge(compare(reference, write_recording(tmp_path / "other", **noise)), BOUND)
    assert not verdict.passed
    assert verdict.differences["distilled-t2v"].startswith(stage)
    assert f"2 of 2 clips are not equal; distilled-t2v differs from {stage}" in verdict.text
    assert ("the first frame that differs is" in verdict.text) is ("picture_noise" in noise)


def test_a_difference_in_the_file_alone_is_one(reference: Any, tmp_path: Path) -> None:
    """Pictures are equal, the sound is not."""
    other = write_recording(tmp_path / "other")
    clip = other.file("keyframes", "clip.mp4")
    data = clip.read_bytes()
    clip.write_bytes(data.replace(b"SoundHandler", b"OtherHandler"))
    assert clip.read_bytes() != data
    verdict = judge(compare(reference, other), BOUND)
    assert verdict.differences == {"keyframes": "sound or coding of the mp4"}
    assert "no frame differs" in verdict.text


def test_another_machine_is_named_where_it_may_be_the_reason(
    reference: Any, tmp_path: Path
) -> None:
    elsewhere = write_recording(
        tmp_path / "other", replace(PLAIN, machine="a card"), latent_noise=0.1
    )
    text = judge(compare(reference, elsewhere), BOUND).text
    assert "the machines differ (a processor, a card)" in text


def test_a_quantized_one_close_enough_is_within_bounds(reference: Any, tmp_path: Path) -> None:
    other = write_recording(
        tmp_path / "other",
        QUANTIZED,
        hidden_noise=0.3,
        latent_noise=0.01,
        picture_noise=dict.fromkeys(range(SHAPE.frames), 3.0),
    )
    verdict = judge(compare(reference, other), BOUND)
    assert verdict.passed, verdict.text
    assert "4-bit against bf16: within bounds; closest is" in verdict.text
    assert len(verdict.checks) == 2 * 5
    assert all(check.passed and check.gap >= 0 for check in verdict.checks)


@pytest.mark.parametrize(
    ("noise", "measure"),
    [
        ({"hidden_noise": 2.0}, "hidden-state cosine of distilled-t2v (text"),
        ({"latent_noise": 0.5}, "video latent cosine of distilled-t2v"),
        ({"picture_noise": {3: 60.0}}, "PSNR in dB of distilled-t2v (frame 3)"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_both_numbers(
    noise: dict[str, Any], measure: str, reference: Any, tmp_path: Path
) -> None:
    """The first in the order of computing: what is out behind it follows from it."""
    verdict = judge(
        compare(reference, write_recording(tmp_path / "other", QUANTIZED, **noise)), BOUND
    )
    assert not verdict.passed
    worst = next(check for check in verdict.checks if not check.passed)
    assert measure in verdict.text
    assert f"is {spelled(worst.value)}, {-worst.gap:.2g} below its bound of {worst.bound:g}" in (
        verdict.text
    )


def test_what_is_no_number_is_out(reference: Any, tmp_path: Path) -> None:
    other = write_recording(tmp_path / "other", QUANTIZED, latent_noise=float("nan"))
    verdict = judge(compare(reference, other), BOUND)
    assert not verdict.passed
    assert "video latent cosine" in verdict.text


def test_eight_bits_may_stand_in_for_bf16(tmp_path: Path) -> None:
    eight = write_recording(tmp_path / "8", replace(PLAIN, gemma=Gemma.FLAG_8BIT))
    four = write_recording(tmp_path / "4", QUANTIZED, hidden_noise=0.1)
    verdict = judge(compare(eight, four), BOUND)
    assert verdict.passed
    assert verdict.text.startswith("4-bit against 8-bit")
    with pytest.raises(UsageError, match="the reference is quantized"):
        compare(four, eight)


INT8 = replace(PLAIN, extra=("--compile", "--quantization", "int8", "--int8-keep-ends"))
CAST = replace(PLAIN, extra=("--compile", "--quantization", "fp8-cast"))


def test_a_transformer_of_int8_is_held_to_bounds_of_its_own(tmp_path: Path) -> None:
    cast = write_recording(tmp_path / "cast", CAST)
    verdict = judge(compare(cast, write_recording(tmp_path / "int8", INT8)), BOUND)
    assert verdict.passed
    assert verdict.text.startswith("bf16, int8 transformer against bf16")
    off = write_recording(tmp_path / "off", INT8, latent_noise=1.0)
    assert "video latent cosine" in judge(compare(cast, off), BOUND).text
    gemma_too = write_recording(tmp_path / "gemma", INT8, hidden_noise=0.1)
    assert "hidden-state cosine" in judge(compare(cast, gemma_too), BOUND).text
    again = compare(gemma_too, write_recording(tmp_path / "again", INT8, hidden_noise=0.1))
    assert "every byte of 2 clips is equal" in judge(again, BOUND).text


@pytest.mark.parametrize(
    ("reference", "other", "said"),
    [
        (INT8, CAST, "further arguments differ"),
        (replace(CAST, extra=CAST.extra[1:]), INT8, "further arguments differ"),
        (
            CAST,
            replace(INT8, gemma=Gemma.FLAG_4BIT),
            "the transformer's quantization and in Gemma's",
        ),
        (INT8, replace(INT8, extra=INT8.extra[:-1]), "further arguments differ"),
    ],
)
def test_no_other_quantization_of_the_transformer_is_held_to_them(
    reference: Manifest, other: Manifest, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        require_comparable(reference, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": replace(SHAPE, width=96)}, "96x64, 5 frames"),
        ({"case_set": "0"}, "different prompts, seeds or settings"),
        ({"extra": ("--quantization", "fp8-cast")}, "arguments differ: none, and --quantization"),
        ({"weight_files": {}}, r"weights \(--checkpoint-path\)"),
        ({"weight_files": {"--checkpoint-path": WeightFile("m", "ff")}}, "different weights"),
        ({"upstream": replace(PLAIN.upstream, base="1.2.0")}, r"base 1\.0\.0, the other of 1\.2"),
    ],
)
def test_recordings_of_different_things_are_refused(
    change: dict[str, Any], said: str, reference: Any
) -> None:
    with pytest.raises(UsageError, match=said):
        require_comparable(reference.manifest, replace(reference.manifest, **change))


def test_recordings_of_other_cases_are_refused(reference: Any) -> None:
    fewer = replace(reference.manifest, cases=reference.manifest.cases[1:])
    with pytest.raises(UsageError, match="only one recording has distilled-t2v"):
        require_comparable(reference.manifest, fewer)


@pytest.mark.parametrize("name", ["clip.mp4", HIDDEN, LATENTS])
def test_a_file_that_is_cut_off_is_refused(name: str, reference: Any, tmp_path: Path) -> None:
    """Also where its digest was taken after that."""
    other = write_recording(tmp_path / "other")
    file = other.file("keyframes", name)
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(InvalidError, match=r"torn"):
        open_recording(other.folder)
    with pytest.raises(InvalidError, match=r"is no clip|can't be read"):
        compare(reference, other)


def test_every_kind_of_weights_has_bounds() -> None:
    assert BOUNDS.is_file()
    assert set(BOUND) == {"tiny", "random", "real"}
    for table in BOUND.values():
        assert set(table) == {"4bit", "8bit", "int8"}
        assert table["int8"].hidden_cosine > table["8bit"].hidden_cosine
        assert table["8bit"].hidden_cosine > table["4bit"].hidden_cosine


def test_a_measure_is_never_rounded_up_to_equal() -> None:
    assert [spelled(v) for v in (0.9999999, 1.0, float("inf"), 0.87, 31.456)] == [
        "0.999999",
        "1.0000",
        "equal",
        "0.8700",
        "31.46",
    ]
