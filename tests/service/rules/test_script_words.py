from __future__ import annotations

import pytest

from ltx2_patcher.rules.models.pipelines import Pipeline, pick
from ltx2_service.rules.script_words import Sizes, options_of, sizes_of
from ltx2_service.values.job import Wanted
from tests.rules.models.small_scripts import PIPELINES

WANTED = Wanted("a fox", width=640)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("two", Sizes(640, 1024, 121, 24.0)), ("one", Sizes(640, 512, 121, 24.0))],
)
def test_what_nobody_asked_for_is_as_the_script_has_it(name: str, sizes: Sizes) -> None:
    assert sizes_of(WANTED, pick(PIPELINES, name)) == sizes


def test_options_that_a_script_lacks_are_given_where_asked_for_alone() -> None:
    """The gate then says that it lacks them."""

    def given(pipeline: Pipeline, wanted: Wanted) -> set[str]:
        return set(options_of(wanted, sizes_of(wanted, pipeline), pipeline)) - {"prompt", "seed"}

    two, plain = pick(PIPELINES, "two"), pick(PIPELINES, "plain")
    assert given(two, WANTED) == {"width", "height", "num_frames"}  # it takes no frame rate
    assert given(plain, WANTED) == {"width"}
    assert given(plain, Wanted("a fox")) == set()
