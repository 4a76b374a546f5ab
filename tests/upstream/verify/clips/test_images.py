"""What clips begin and end with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verify.clips.cases import CASES, FULL, TINY, digest
from verify.clips.images import HEIGHT, PAINTERS, WIDTH, write_image


@pytest.mark.parametrize("name", PAINTERS)
def test_an_image_is_painted_the_same_each_time(name: str, tmp_path: Path) -> None:
    for out in ("one.png", "other.png"):
        write_image(name, tmp_path / out)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "one.png"))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.std() > 20  # something to see


def test_every_image_that_a_case_names_can_be_painted() -> None:
    named = {one.image for case in CASES for one in case.images}
    assert named == PAINTERS.keys()


def test_the_set_is_the_one_that_was_asked_for() -> None:
    """Distilled and two-stage, with and without an image, and keyframes at both ends."""
    assert [case.name for case in CASES] == [
        "distilled-t2v",
        "distilled-i2v",
        "two-stage-t2v",
        "two-stage-ti2v",
        "keyframes",
    ]
    assert [bool(case.images) for case in CASES] == [False, True, False, True, True]
    assert len({case.seed for case in CASES}) == len({case.prompt for case in CASES}) == len(CASES)
    assert [one.frame(FULL) for one in CASES[-1].images] == [0, 24]
    assert [one.frame(TINY) for one in CASES[-1].images] == [0, 8]


def test_a_set_is_told_by_all_that_decides_it() -> None:
    assert len({digest(CASES, TINY), digest(CASES, FULL), digest(CASES[1:], TINY)}) == 3
