"""The names of the released models, exactly; a hostile configuration is refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.architecture import checkpoint_keys, gemma_keys
from ltx2_patcher.values.errors import InvalidError
from tests.weight_files import RELEASED, TINY_GEMMA

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)
SECTIONS = st.sampled_from(["transformer", "vae", "audio_vae", "vocoder", "text_config"])


@pytest.mark.parametrize("model", ["LTX-2 19B", "LTX-2.3 22B", "Gemma 3 12B"])
def test_the_names_are_those_of_the_released_model(model: str) -> None:
    released = RELEASED[model]
    keys = (gemma_keys if model.startswith("Gemma") else checkpoint_keys)(released["config"])
    assert len(keys) == released["keys"]
    assert hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest() == released["sha256"]


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
    for keys in (checkpoint_keys, gemma_keys):
        try:
            assert all(keys(config))
        except InvalidError as error:
            assert error.remedy
