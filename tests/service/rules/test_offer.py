from __future__ import annotations

from dataclasses import replace

import pytest

from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_service.rules.offer import offer_of, refusal_of_pipeline
from ltx2_service.values.settings import Model

OPTIONS = frozenset({"--image", "--negative-prompt", "--enhance-prompt"})


def pipeline(options: frozenset[str], checkpoint: str, divisor: int | None) -> Pipeline:
    return Pipeline(
        name="a_pipeline",
        summary="It makes clips.",
        divisor=divisor,
        size=None,
        options=options,
        checkpoint=checkpoint,
        parts=frozenset(),
        tells_length=False,
        several_gpus=False,
        makes="video",
        rounds_rate=False,
    )


@pytest.mark.parametrize("on_a_card", [True, False])
def test_a_form_begins_with_what_every_model_takes(on_a_card: bool) -> None:
    model = Model("mine", "1.2.0", "a_pipeline", {})
    for divisor in (64, 32, None):
        offer = offer_of(
            model, pipeline(OPTIONS, "--checkpoint-path", divisor), on_a_card=on_a_card
        )
        assert offer.width % offer.multiple == offer.height % offer.multiple == 0
        assert offer.num_frames % 8 == 1


def test_a_model_makes_videos_of_prompts_on_one_card() -> None:
    fit = pipeline(frozenset({"--prompt"}), "--checkpoint-path", 64)
    assert refusal_of_pipeline(fit) is None
    for unfit, why in (
        (replace(fit, makes="sound"), "no video of a prompt"),
        (replace(fit, makes=None), "no video of a prompt"),
        (replace(fit, options=frozenset()), "no video of a prompt"),
        (replace(fit, several_gpus=True), "spreads over several cards"),
    ):
        assert why in str(refusal_of_pipeline(unfit))


def test_only_what_a_pipeline_takes_is_offered() -> None:
    model = Model("mine", "1.2.0", "a_pipeline", {})
    for option, field in (
        ("--image", "pictures"),
        ("--negative-prompt", "negative_prompt"),
        ("--enhance-prompt", "enhance"),
    ):
        with_it = offer_of(model, pipeline(OPTIONS, "--checkpoint-path", 64), on_a_card=True)
        without = offer_of(
            model, pipeline(OPTIONS - {option}, "--checkpoint-path", 64), on_a_card=True
        )
        assert getattr(with_it, field) and not getattr(without, field)


def test_a_distilled_model_is_led_away_from_nothing() -> None:
    model = Model("mine", "1.2.0", "a_pipeline", {})
    distilled = pipeline(OPTIONS, "--distilled-checkpoint-path", 64)
    assert not offer_of(model, distilled, on_a_card=True).negative_prompt
