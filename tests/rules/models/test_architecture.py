"""The names of the released models, exactly; a hostile configuration is refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.architecture import (
    audio_vae_keys,
    checkpoint_keys,
    duration_head_keys,
    transformer_keys,
    video_vae_keys,
)
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.values.errors import InvalidError
from tests.weight_files import RELEASED, TINY_GEMMA, TINY_GEMMA_4

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)
SECTIONS = st.sampled_from(["transformer", "vae", "audio_vae", "vocoder", "text_config"])


MODELS = ["LTX-2 19B", "LTX-2.3 22B", "LTX-2.5 22B", "Gemma 3 12B", "Gemma 4 12B"]


def _digest(keys: frozenset[str]) -> dict[str, object]:
    sha256 = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
    return {"keys": len(keys), "sha256": sha256}


@pytest.mark.parametrize("model", MODELS)
def test_the_names_are_those_of_the_released_model(model: str) -> None:
    released = RELEASED[model]
    keys = (gemma_keys if model.startswith("Gemma") else checkpoint_keys)(released["config"])
    assert _digest(keys) == {name: released[name] for name in ("keys", "sha256")}


def test_the_parts_of_a_split_model_are_those_of_a_whole_one() -> None:
    released = RELEASED["LTX-2.5 22B"]
    config = released["config"]
    assert _digest(transformer_keys(config)) == released["transformer"]
    assert _digest(video_vae_keys(config)) == released["video vae"]
    parts = transformer_keys(config) | video_vae_keys(config) | audio_vae_keys(config)
    left = checkpoint_keys(config) - parts
    assert {name.split(".")[0] for name in left} == {"text_embedding_projection"}
    assert not duration_head_keys() & checkpoint_keys(config)  # a checkpoint may do without


def test_a_gemma_4_may_be_without_eyes_and_ears() -> None:
    text = {k: v for k, v in TINY_GEMMA_4.items() if k not in {"vision_config", "audio_config"}}
    assert all(key.startswith("model.language_model.") for key in gemma_keys(text))
    assert len(gemma_keys(TINY_GEMMA_4)) - len(gemma_keys(text)) == 11


def test_fewer_layers_are_fewer_names() -> None:
    config = RELEASED["LTX-2 19B"]["config"]
    small = {**config, "transformer": {**config["transformer"], "num_layers": 2}}
    lost = checkpoint_keys(config) - checkpoint_keys(small)
    assert {name.split(".")[3] for name in lost} == {str(n) for n in range(2, 48)}
    assert len(gemma_keys(TINY_GEMMA)) == 2 * 13 + 2 + 2 + 5 + 16


@pytest.mark.parametrize("layers", [None, -1, 10**9, True, "2", 2.0])
def test_an_absurd_number_of_layers_is_refused(layers: object) -> None:
    with pytest.raises(InvalidError, match="num_layers"):
        checkpoint_keys({"transformer": {"num_layers": layers}})


@given(st.dictionaries(SECTIONS, st.dictionaries(st.text(max_size=8), ANYTHING)))
def test_any_configuration_is_answered_or_refused(config: dict[str, object]) -> None:
    kinds = [{**config, "model_type": kind} for kind in ("gemma3", "gemma4_unified", None)]
    for keys, given_config in (
        (checkpoint_keys, config),
        (video_vae_keys, config),
        *((gemma_keys, kind) for kind in kinds),
    ):
        try:
            assert all(keys(given_config))
        except InvalidError as error:
            assert error.remedy
