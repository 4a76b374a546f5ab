"""Two builds of one identity have equal weights; whatever changes them changes it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.loader.module_ops import ModuleOps
from ltx_core.parked.identity import NotKnownError, identity, of_file


def rounding(seed: int) -> ModuleOps:
    """One name for every seed, as upstream's operations have."""
    return ModuleOps("rounding", lambda _: True, lambda module: (module, seed)[0])


@dataclass(frozen=True)
class Settings:
    """What a closure holds."""

    mode: str
    seeds: tuple[int, ...] = ()


def test_what_stands_in_a_closure_counts() -> None:
    assert identity(rounding(1)) == identity(rounding(1))
    assert identity(rounding(1)) != identity(rounding(2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Settings("a"), Settings("b")),
        (Settings("a", (1,)), Settings("a", (2,))),
        ({"a": 1}, {"a": 2}),
        (1, True),
        (1, 1.0),
        (b"tokenizer", b"tokenizes"),
        (torch.bfloat16, torch.float16),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
        (torch.tensor([1.0]), torch.tensor(1.0)),
        (functools.partial(rounding, 1), functools.partial(rounding, 2)),
        (
            LTXV_LORA_COMFY_RENAMING_MAP,
            replace(LTXV_LORA_COMFY_RENAMING_MAP, mapping=()),  # of the same name
        ),
    ],
)
def test_others_differ(one: object, other: object) -> None:
    assert identity(one) == identity(one)
    assert identity(one) != identity(other)


def test_a_function_that_holds_itself_has_one() -> None:
    def made() -> Callable[[int], int]:
        def down(number: int) -> int:
            return down(number - 1) if number else 0

        return down

    assert identity(made()) == identity(made())


def test_what_can_not_be_seen_into_has_none() -> None:
    with pytest.raises(NotKnownError, match="Generator"):
        identity({"seed": torch.Generator()})


def test_a_file_that_changes_is_another(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    before = of_file(file)
    assert of_file(file) == before
    file.write_bytes(b"another")
    assert of_file(file) != before
    with pytest.raises(FileNotFoundError):
        of_file(tmp_path / "none.safetensors")
