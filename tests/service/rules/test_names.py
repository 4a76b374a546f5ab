from __future__ import annotations

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.names import attempt_of, clip_name, new_id, part_name
from ltx2_service.values.job import Picture, Wanted

wanted = st.builds(
    Wanted,
    st.just("x"),
    origin=st.sampled_from(["v1", "own"]),
    pictures=st.sampled_from([(), (Picture(__file__),)]),  # type: ignore[arg-type]
)


@given(wanted, st.floats(0, 4e9), st.integers(1, 10**6))
def test_files_tell_the_attempt_that_they_are_of(one: Wanted, now_s: float, token: int) -> None:
    job = new_id(one, now_s, secrets.token_hex)
    assert attempt_of(clip_name(job, token)) == (job, token)
    assert attempt_of(part_name(job, token)) == (job, token)
    assert clip_name(job, token) != part_name(job, token)


def test_ids_of_the_users_own_api_look_as_its_write_up_has_them() -> None:
    job = new_id(Wanted("x", origin="own"), 1e9, secrets.token_hex)
    assert re.fullmatch(r"t2v_\d{8}_\d{6}_[0-9a-f]{8}", job)


@pytest.mark.parametrize(
    "name", ["holiday.mp4", "video_1.part.mp4", "video_1.json", "video_1.x.mp4", "../video_1.mp4"]
)
def test_other_files_are_left_alone(name: str) -> None:
    assert attempt_of(name) is None
