"""Turns become stretches, stretches stages: every second and every peak goes to one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.card import CONTEXT_BYTES, parse_card
from verify.vram.events import (
    Doing,
    Events,
    Failure,
    Held,
    Parked,
    Peaks,
    Turn,
    event_line,
    parse_events,
)
from verify.vram.host_memory import Sample
from verify.vram.stages import STAGE_OF, DeviceUse, stages, stretches

COMPONENTS = [*STAGE_OF, "transformer"]


def turn(at_s: float, component: str | None, doing: Doing = "compute", peak: int = 1) -> Turn:
    return Turn(at_s, component, doing, Peaks(peak, peak * 2))


TWO_STAGES = (
    Turn(1.0, "text encoder", "load", None),
    turn(2.0, "text encoder", peak=8),
    turn(3.0, "video encoder", "load", 9),
    turn(3.5, "video encoder"),
    turn(4.0, "transformer", "load"),
    turn(5.0, "transformer", peak=18),
    turn(7.0, "video encoder", "load", 20),
    turn(7.5, "video encoder"),
    turn(8.0, "upsampler", "load"),
    turn(8.5, "upsampler"),
    turn(9.0, "video encoder"),
    turn(9.5, "transformer", "load"),
    turn(11.0, "transformer", peak=19),
    turn(12.0, None, peak=21),
)
"""As ti2vid_two_stages of 1.0.0 goes on, in short."""


def test_the_transformer_is_in_two_stages_and_the_upsampler_has_its_encoder() -> None:
    found = {s.name: s for s in stages(stretches(TWO_STAGES), (), (), None)}
    assert list(found) == ["text encoding", "image encoding", "stage 1", "upsampling", "stage 2"]
    assert (found["text encoding"].load_s, found["text encoding"].compute_s) == (1.0, 1.0)
    assert (found["stage 1"].load_s, found["stage 1"].compute_s) == (1.0, 2.0)
    assert (found["stage 2"].load_s, found["stage 2"].compute_s) == (1.5, 1.0)
    assert (found["upsampling"].load_s, found["upsampling"].compute_s) == (1.0, 1.0)
    assert (found["image encoding"].load_s, found["image encoding"].compute_s) == (0.5, 1.0)


def test_a_peak_is_that_of_the_stretch_that_it_ended() -> None:
    found = {s.name: s for s in stages(stretches(TWO_STAGES), (), (), None)}
    assert found["text encoding"].peak_allocated_bytes == 9
    assert found["stage 1"].peak_allocated_bytes == 20
    assert found["stage 2"].peak_reserved_bytes == 42


def test_samples_count_for_the_stage_in_whose_time_they_lie() -> None:
    host = [Sample(0.5, 99, 99), Sample(1.5, 5, 50), Sample(6.0, 7, 70), Sample(11.5, 6, 10)]
    device = [DeviceUse(2.5, 30), DeviceUse(6.5, 40), DeviceUse(13.0, 99)]
    found = {s.name: s for s in stages(stretches(TWO_STAGES), host, device, None)}
    assert (found["text encoding"].host_anon_bytes, found["text encoding"].host_file_bytes) == (
        5,
        50,
    )
    assert (found["stage 1"].host_anon_bytes, found["stage 2"].host_anon_bytes) == (7, 6)
    assert found["text encoding"].device_peak_bytes == 30
    assert found["stage 2"].device_peak_bytes is None


def test_what_is_left_is_the_cards_less_the_context_and_the_reserved_peak() -> None:
    card = parse_card("24GB")
    found = stages(stretches(TWO_STAGES), (), (), card)[0]
    assert found.peak_reserved_bytes is not None
    assert found.left_bytes == card.usable_bytes - CONTEXT_BYTES - found.peak_reserved_bytes


def test_without_a_gpu_there_are_seconds_and_no_peaks() -> None:
    turns = [Turn(1.0, "transformer", "load", None), Turn(2.0, None, "compute", None)]
    (found,) = stages(stretches(turns), (), (), parse_card("24GB"))
    assert (found.load_s, found.peak_reserved_bytes, found.left_bytes) == (1.0, None, None)


@given(
    steps=st.lists(
        st.tuples(
            st.floats(0.01, 9), st.sampled_from(COMPONENTS), st.sampled_from(["load", "compute"])
        ),
        min_size=1,
        max_size=25,
    )
)
def test_every_second_is_some_stages(steps: list[tuple[float, str, Doing]]) -> None:
    at_s, turns = 0.0, []
    for length, component, doing in steps:
        turns.append(turn(at_s, component, doing))
        at_s += length
    turns.append(turn(at_s, None))
    found = stages(stretches(turns), (), (), None)
    assert sum(s.load_s + s.compute_s for s in found) == pytest.approx(at_s)


EVENTS = st.one_of(
    st.builds(
        Turn,
        st.floats(0, 1e6),
        st.sampled_from([*COMPONENTS, None]),
        st.sampled_from(["load", "compute"]),
        st.none() | st.builds(Peaks, st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    ),
    st.builds(Held, st.floats(0, 1e6), st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    st.builds(Parked, st.floats(0, 1e6), st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    st.builds(Failure, st.booleans(), st.text(max_size=20)),
)


@given(events=st.lists(EVENTS, max_size=8), cut=st.integers(1, 30))
def test_events_are_read_back_and_a_cut_one_is_left_out(
    events: list[Turn | Held | Parked | Failure], cut: int
) -> None:
    lines = [event_line(event) for event in events]
    turns = tuple(e for e in events if isinstance(e, Turn))
    held = tuple(e for e in events if isinstance(e, Held))
    parked = tuple(e for e in events if isinstance(e, Parked))
    failures = [e for e in events if isinstance(e, Failure)]
    whole = Events(turns, held, parked, failures[-1] if failures else None)
    assert parse_events(lines) == whole
    assert parse_events([*lines, event_line(Held(1.0, 2, 3))[:-cut]]) == whole
