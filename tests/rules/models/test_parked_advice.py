"""What a card and a host are told to do, with what to expect of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.models.budget import Capacity, advise, savings_of
from ltx2_patcher.rules.models.card import GIB, Card
from ltx2_patcher.rules.models.link import Link
from ltx2_patcher.rules.models.parked_advice import advised_flags, caution_of_card, expected
from ltx2_patcher.rules.models.parked_host import HostShare, weights_of
from ltx2_patcher.values.request import GemmaFlag, Request
from ltx2_patcher.values.weights import Checkpoint
from tests.conftest import ROOT
from tests.rules.models.released_sizes import LTX_2, LTX_2_3
from tests.rules.models.test_budget import GEMMA

SAVINGS = savings_of(frozenset({"--quantization"}))
PARKED, CAST = ("--vram-budget", "auto"), ("--quantization", "fp8-cast")
PLAIN = Request(pipeline="distilled")
models = st.sampled_from([LTX_2, LTX_2_3])
cards, hosts = st.integers(4, 96), st.integers(1, 200)


def capacity(card: int, host: int) -> Capacity:
    return Capacity(Card(card * GIB), host * GIB)


@pytest.mark.parametrize(
    ("card", "host", "flags"),
    [
        (8, 120, PARKED),
        (8, 60, (*PARKED, *CAST)),
        (8, 45, (*PARKED, *CAST, "--gemma-8bit")),
        (8, 28, (*PARKED, *CAST, "--gemma-4bit")),
        (24, 120, PARKED),
        (24, 60, (*PARKED, *CAST)),
        (24, 28, ("--gemma-8bit", *CAST)),
        (32, 45, CAST),
        (48, 10, ()),
    ],
)
def test_a_card_and_a_host_get_what_loses_least(
    card: int, host: int, flags: tuple[str, ...]
) -> None:
    for model in (LTX_2, LTX_2_3):
        assert advised_flags(capacity(card, host), SAVINGS, model, GEMMA) == flags


@given(models, cards, hosts, hosts)
def test_gemma_stays_whole_wherever_it_can(
    model: Checkpoint, card: int, one: int, other: int
) -> None:
    """And more host memory never takes bits from it."""
    less, more = (
        advised_flags(capacity(card, host), SAVINGS, model, GEMMA) for host in sorted((one, other))
    )
    bits = [next((n for n in (8, 4) if f"--gemma-{n}bit" in flags), 16) for flags in (less, more)]
    assert bits[0] <= bits[1]
    alone = advise(capacity(card, 0), SAVINGS, model, GEMMA).flags
    if alone is not None and not any("gemma" in flag for flag in alone):
        assert bits[0] == 16


def test_what_passes_through_the_card_takes_its_time() -> None:
    cast = weights_of(replace(PLAIN, quantization="fp8-cast"), LTX_2, GEMMA)
    share, link = HostShare(cast, 60 * GIB), Link(4, 16)
    assert expected(share, 0, link) == (
        "17.9 GiB pass through the card in each step, at least 0.8 s by PCIe 4 x16 (reckoned)"
    )
    assert expected(share, 10 * GIB, Link(4, 4)) == (
        "7.9 GiB pass through the card in each step, at least 1.3 s by PCIe 4 x4 (reckoned)"
    )
    assert expected(share, None, link) == (
        "up to 17.9 GiB pass through the card in each step, up to 0.8 s by PCIe 4 x16 (reckoned)"
    )
    assert expected(share, 0, None) == "17.9 GiB pass through the card in each step"
    assert expected(share, 30 * GIB, link) == "the transformer stays on the card"


def test_a_card_that_is_too_small_is_told_what_does() -> None:
    def told(request: Request, card: int, host: int = 60) -> str | None:
        found = caution_of_card(request, LTX_2, GEMMA, capacity(card, host), SAVINGS)
        if found is None:
            return None
        assert found.remedy is not None
        return f"{found.fact}: {found.remedy}"

    cast = replace(PLAIN, quantization="fp8-cast")
    assert told(PLAIN, 8) == (
        "denoising takes about 37.8 GiB of the card, of which torch can use 7.1 GiB: give "
        "--vram-budget auto --quantization fp8-cast"
    )
    assert told(cast, 24) == (
        "text encoder takes about 23.7 GiB of the card, of which torch can use 23.1 GiB: give "
        "--vram-budget auto --quantization fp8-cast"
    )
    assert str(told(cast, 24, host=20)).endswith("give --gemma-8bit --quantization fp8-cast")
    assert told(replace(cast, gemma="4bit"), 24) is None
    assert told(replace(cast, gemma="8bit"), 24) is None
    assert told(PLAIN, 80) is None


def test_the_page_says_what_a_step_takes() -> None:
    cast = weights_of(replace(PLAIN, quantization="fp8-cast"), LTX_2, GEMMA)
    page = (ROOT / "docs/parked.md").read_text("utf-8")
    rows = re.findall(r"^\| PCIe (\d) x(\d+).* \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for generation, lanes, seconds in rows:
        link = Link(int(generation), int(lanes))
        assert f"{cast.transformer_bytes / link.bytes_a_s:.1f}" == seconds


SYSTEM_GIB = 4  # of host memory that others take


def test_the_readme_has_the_flags_of_each_card_and_host() -> None:
    """For either model."""
    readme = (ROOT / "README.md").read_text("utf-8")
    head, _, *rows = re.findall(r"^\|.*\|$", readme.split("## Which flags")[1], re.MULTILINE)[:6]
    _, *cards = [[int(size) for size in re.findall(r"\d+", cell)] for cell in cells(head)]
    assert cards == [[8, 12, 16], [24]]
    told: dict[tuple[int, int], tuple[str, ...]] = {}
    for host, *flags in map(cells, rows):
        for sizes, cell in zip(cards, flags, strict=True):
            gib = int(host.removesuffix(" GB"))
            told |= {(size, gib): tuple(cell.strip("`").split()) for size in sizes}
    assert {host for _, host in told} == {16, 32, 64, 128}
    for (card, gib), typed in told.items():
        for model in (LTX_2, LTX_2_3):
            here = capacity(card, gib - SYSTEM_GIB)
            assert advised_flags(here, SAVINGS, model, GEMMA) == typed, (card, gib)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_page_says_what_weights_take() -> None:
    page = (ROOT / "docs/parked.md").read_text("utf-8")
    rows = re.findall(r"^\| (.*) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for words, *gib in rows:
        bits: GemmaFlag | None = "4bit" if "4bit" in words else "8bit" if "8bit" in words else None
        cast = "fp8-cast" if "fp8-cast" in words else None
        request = replace(PLAIN, quantization=cast, gemma=bits)
        taken = [weights_of(request, model, GEMMA).bytes / GIB for model in (LTX_2, LTX_2_3)]
        assert [f"{size:.0f}" for size in taken] == gib
