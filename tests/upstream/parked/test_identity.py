"""Two builds of one identity have equal weights; whatever changes them changes it."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.loader.module_ops import ModuleOps
from ltx_core.parked.identity import NotKnownError, digest, identity, of_file, sampled


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
    assert digest(identity(one)) == digest(identity(one))
    assert digest(identity(one)) != digest(identity(other))


def test_a_function_that_holds_itself_has_one() -> None:
    def made() -> Callable[[int], int]:
        def down(number: int) -> int:
            return down(number - 1) if number else 0

        return down

    assert identity(made()) == identity(made())


IN_ANOTHER = """
import functools, pathlib, torch
from ltx_core.loader import LTXV_LORA_COMFY_RENAMING_MAP
from ltx_core.parked.identity import digest, identity

def rounds(value, among={"a", "b", "c"}):
    def inner(one):
        return one in {"x", "y", "z", 1, (2, "w")} or [part for part in value]
    return inner

held = [rounds(1), {"d", "e", ("f", 2)}, pathlib.Path("/"), torch.float16, torch.device("cpu")]
print(digest(identity([*held, functools.partial(rounds, b"4"), LTXV_LORA_COMFY_RENAMING_MAP])))
"""


def test_every_process_has_one_name_for_it() -> None:
    """Python's hashes and the order of its sets differ from one to the next."""
    told = {
        subprocess.check_output(
            [sys.executable, "-c", IN_ANOTHER], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_other_code_has_another_name() -> None:
    sources = ("lambda a: a + 1", "lambda a: a + 2", "lambda a: a - 1", "lambda a: a in {1, 2}")
    assert len({digest(identity(eval(source))) for source in sources}) == len(sources)


@pytest.mark.parametrize("place", [9, 40, 10_000, 99_999])
def test_other_contents_of_one_size_and_time_are_told_apart(place: int, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    content = bytearray((60).to_bytes(8, "little") + bytes(99_992))
    file.write_bytes(content)
    before, was = of_file(file), sampled(of_file(file))
    content[place] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before[2], before[2]))
    assert of_file(file) == before
    assert sampled(before) != was


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
