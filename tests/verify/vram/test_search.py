"""The longest clip, and what a request will take: against cards whose memory is known."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.baselines import BASELINES, read_baselines
from ltx2_patcher.rules.models.card import CONTEXT_BYTES, GIB, parse_card
from ltx2_patcher.rules.models.forecast import SHORTEST_FRAMES as SHORTEST
from ltx2_patcher.rules.models.forecast import forecast_bytes, require_fit
from ltx2_patcher.rules.models.measured import Measured, of_base
from ltx2_patcher.rules.models.request_checks import FRAME_STEP as STEP
from ltx2_patcher.rules.models.workload import Workload
from ltx2_patcher.values.errors import UsageError
from tests.conftest import ROOT
from verify.vram.search import Try, longest

FOLDER = ROOT / BASELINES

FLAGS = ("--gemma-4bit", "--quantization fp8-cast")
CARD = parse_card("24GB")
MIB = 1 << 20


@given(
    limit=st.integers(0, 1300),
    slope=st.integers(1, 50 << 20),
    bend=st.integers(0, 20 << 20),
    runs_out=st.booleans(),
    first=st.sampled_from([9, 25, 121, 241]),
)
def test_the_longest_that_fits_is_found_and_proved(
    limit: int, slope: int, bend: int, *, runs_out: bool, first: int
) -> None:
    def run(frames: int) -> Try:
        assert frames % 8 == 1
        over = frames > limit
        left = (limit - frames) * (slope + bend * frames // 100)
        return Try(frames, None if over and runs_out else left)

    found = longest(run, first=first, most=1217)
    expected = max((f for f in range(SHORTEST, 1218, STEP) if f <= limit), default=None)
    assert found.frames == expected
    frames = [one.frames for one in found.tries]
    assert len(set(frames)) == len(frames), "no length is run twice"
    assert len(frames) <= 20


def test_along_a_line_few_runs_do() -> None:
    found = longest(lambda f: Try(f, (500 - f) * 10 * MIB), first=121, most=1217)
    assert found.frames == 497
    assert len(found.tries) <= 5


def test_few_runs_do_where_the_allocator_gives_back_near_its_cap() -> None:
    """As LTX-2.3 left it on 1.0.0: 425 and 433 frames leave about nothing, and 441 still fit."""

    def run(frames: int) -> Try:
        left = max((446 - frames) * 10, 40 + frames % 3)
        return Try(frames, left * MIB if frames <= 441 else None)

    found = longest(run, first=121, most=1217, known=[run(25), run(121), run(241)])
    assert found.frames == 441
    assert len(found.tries) <= 3 + 5
    assert max(one.frames for one in found.tries) < 500


def test_what_is_known_is_not_run_again() -> None:
    known = [Try(121, 379 * MIB), Try(241, 259 * MIB)]
    ran: list[int] = []

    def run(frames: int) -> Try:
        ran.append(frames)
        return Try(frames, (500 - frames) * MIB)

    assert longest(run, first=121, most=1217, known=known).frames == 497
    assert not {121, 241} & set(ran)


def measured(frames: int, card_gib: float, base: str = "1.0.0", size: str = "768x512") -> Measured:
    width, height = map(int, size.split("x"))
    asked = Workload("distilled", width, height, frames, FLAGS)
    return Measured(base, "LTX-2 19B distilled", asked, int(card_gib * GIB), 24)


KNOWN = [measured(25, 20.0), measured(121, 21.0), measured(241, 23.0)]


def asked(frames: int, size: tuple[int, int] = (768, 512)) -> Workload:
    return Workload("distilled", *size, frames, FLAGS)


@pytest.mark.parametrize(
    ("frames", "gib"), [(121, 21.0), (241, 23.0), (9, 20.0), (181, 22.0), (361, 25.0)]
)
def test_a_forecast_follows_what_was_measured(frames: int, gib: float) -> None:
    found = forecast_bytes(asked(frames), KNOWN)
    assert found is not None
    assert found / GIB == pytest.approx(gib, abs=0.15)


def test_nothing_is_forecast_for_what_was_never_measured() -> None:
    assert forecast_bytes(asked(121), KNOWN[:1]) is None
    assert forecast_bytes(Workload("ic_lora", 768, 512, 121, FLAGS), KNOWN) is None
    assert forecast_bytes(Workload("distilled", 768, 512, 121, ()), KNOWN) is None


def test_the_worst_of_several_bases_counts() -> None:
    worse = [measured(25, 21.0, "1.2.0"), measured(121, 22.0, "1.2.0")]
    found = forecast_bytes(asked(121), [*KNOWN, *worse])
    assert found == 22 * GIB


def test_too_much_is_refused_with_the_nearest_that_fits() -> None:
    require_fit(asked(241), CARD, KNOWN)
    with pytest.raises(UsageError, match="241 frames takes about") as caught:
        require_fit(asked(241, (1280, 704)), CARD, KNOWN)
    remedy = caught.value.remedy
    frames = int(remedy.split()[2].rstrip(","))
    fits = forecast_bytes(asked(frames, (1280, 704)), KNOWN)
    longer = forecast_bytes(asked(frames + STEP, (1280, 704)), KNOWN)
    assert fits is not None
    assert longer is not None
    assert fits <= CARD.usable_bytes < longer


def test_what_was_measured_is_forecast_as_it_came_out() -> None:
    """What fits on its base is not refused there, and what ran out of memory is."""
    known = read_baselines(FOLDER)
    for one in known:
        card = parse_card(f"{one.budget_gib}GB")
        with (
            pytest.raises(UsageError, match=f"{one.workload.frames} frames takes about 23.7")
            if one.card_bytes > card.usable_bytes
            else contextlib.nullcontext()
        ):
            require_fit(one.workload, card, of_base(known, one.base))
    ran_out = [(base, run) for base, run in _runs() if run["out_of_memory"] and run["stages"][3:]]
    assert ran_out
    for base, run in ran_out:
        width, height = map(int, run["size"].split("x"))
        wanted = Workload(run["pipeline"], width, height, run["frames"], FLAGS)
        with pytest.raises(UsageError, match=f"{run['frames']} frames takes about"):
            require_fit(wanted, CARD, of_base(known, base))


def _runs() -> list[tuple[str, dict[str, Any]]]:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("vram-*.json"))]
    return [(one["base"], run) for one in found for run in one["runs"]]


def test_where_no_length_fits_what_was_measured_to_fit_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        require_fit(asked(9), parse_card("22GB"), [measured(9, 23), measured(121, 24)])
    assert caught.value.remedy.startswith("add --gemma-4bit")
    with pytest.raises(UsageError) as caught:
        require_fit(asked(33, (4096, 4096)), CARD, KNOWN)
    assert "768x512 and 241 frames" in caught.value.remedy


def test_baselines_are_read_where_the_run_ended_well(tmp_path: Path) -> None:
    run = {
        "name": "x",
        "model": "LTX-2.3 22B",
        "ended_well": True,
        "pipeline": "distilled",
        "size": "768x512",
        "frames": 121,
        "flags": "--gemma-4bit --quantization fp8-cast",
        "stages": [{"peak_reserved_bytes": 5}, {"peak_reserved_bytes": 9}],
    }
    runs = [run, {**run, "ended_well": False}]
    baseline = {"base": "1.0.0", "budget_gib": 24, "runs": runs}
    (tmp_path / "vram-1.0.0-x.json").write_text(json.dumps(baseline))
    (found,) = read_baselines(tmp_path)
    assert found.workload == Workload("distilled", 768, 512, 121, FLAGS)
    assert found.card_bytes == 9 + CONTEXT_BYTES
