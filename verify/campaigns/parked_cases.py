"""The rows of the campaign of parked weights, as data: which clips, from which files, how held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from verify.clips.cases import TINY as TINY_CLIP
from verify.synthetic.architecture import Blocks, Variant
from verify.upstream.command_line import DISTILLED, FP8_CAST, ClipShape

SMALLEST_GIB, LARGEST_GIB = 6.5, 22.8
CARDS_GIB = (SMALLEST_GIB, 10.5, 14.8, LARGEST_GIB)
"""What torch may reserve of a card of 8, 12, 16 and 24 GB."""
LINKS_GB_S = (25.0, 12.0, 6.5)
"""What PCIe 4 gives with 16, 8 and 4 lanes."""
FOLDER_FLAG = "--weights-folder"
"""Of the scripts: the folder in which processes share one copy of their weights."""

_USUAL = ClipShape(768, 512, 121, fps=24)
_NEEDS = (
    (512, 320, 25),
    (768, 512, 121),
    (768, 512, 241),
    (1280, 704, 121),
    (1536, 1024, 121),
    (1920, 1088, 121),
)
_SMALL = ((512, 320, 25), (384, 256, 33), (256, 256, 9), (320, 192, 17), (448, 256, 25))
_FEW_STEPS = 3
"""Of a guided stage, enough for its peak: blocks are kept from its second pass on, and each step
makes several.
"""

Budget = float | Literal["auto"] | None
"""GiB of the card; None: weights are not parked."""


@dataclass(frozen=True, slots=True)
class Files:
    """What a file set is made of; one at a time lies on the disk."""

    variant: Variant
    blocks: Blocks
    lora: bool = False

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant.value}-{self.blocks.value}"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a script is told of such weights."""
        return () if self.blocks is Blocks.BF16 else FP8_CAST


@dataclass(frozen=True, slots=True)
class Clip:
    """Clips made by a process that may have made others before."""

    way: str  # its name in the row
    budget: Budget
    shape: ClipShape = _USUAL
    link_gb_s: float | None = None  # None: as fast as the machine's is
    keeps: bool = True  # False: no block stays on the card
    clips: int = 1
    again: bool = False  # where the process has parked nothing of it yet, a clip more comes first


@dataclass(frozen=True, slots=True)
class Cold:
    """The first clip of a process, its start included."""

    way: str
    clip: Clip
    script: bool  # run as it is typed, not by the child that makes clip after clip


@dataclass(frozen=True, slots=True)
class Drift:
    """Requests of several sizes in turn, in one process."""

    way: str
    clips: tuple[Clip, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """Two processes that name one folder for their weights."""

    way: str
    clip: Clip


Task = Clip | Cold | Drift | Sharing


class Judged(Enum):
    """What has to hold of a row, beside that its runs end well and within their budgets."""

    EQUAL = "its clips equal those without parked weights"
    ARITHMETIC = f"at {LARGEST_GIB} GiB it takes at most 1.1 times what it takes on the whole card"
    LINK = "a step takes what is reckoned of its link, within 10 %"
    GROWTH = "what it takes at the end is what it took after the first round, within 1 %"
    SHARED = "two processes take at most 1.15 times the host memory of one"
    NEEDS = "nothing: it tells what clips need of a card"
    FITS = "nothing more"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table that a campaign makes: runs of one script."""

    name: str
    judged: Judged
    files: Files
    script: str
    tasks: tuple[Task, ...]
    flags: tuple[str, ...] = ()
    shares: bool = False  # it needs FOLDER_FLAG
    repeats: bool = False  # convolutions add in one order, which cuDNN's fastest for sound does not


def tiny(row: Row) -> Row:
    """The same with clips that a CPU makes in a second."""

    def shrunk(clip: Clip) -> Clip:
        return replace(clip, shape=TINY_CLIP)

    def smaller(task: Task) -> Task:
        match task:
            case Clip():
                return shrunk(task)
            case Cold() | Sharing():
                return replace(task, clip=shrunk(task.clip))
            case Drift():
                return replace(task, clips=tuple(map(shrunk, task.clips[:2])), rounds=2)

    return replace(row, tasks=tuple(map(smaller, row.tasks)))


def _rows() -> Iterator[Row]:
    """Those of one file set stand together, and what needs processes of its own after the rest."""
    usual = Files(Variant.LTX_2, Blocks.FP8)
    yield from _distilled("distilled, fp8", usual)
    yield Row(
        "distilled, fp8, compiled",
        Judged.FITS,  # compiled blocks round otherwise
        usual,
        "distilled",
        (Clip(_gib(LARGEST_GIB), LARGEST_GIB, clips=2),),
        ("--compile",),
    )
    yield Row("distilled, fp8, slower links", Judged.LINK, usual, "distilled", tuple(_links()))
    yield _fitting("distilled, fp8, larger", usual, "distilled", ClipShape(1920, 1088, 121))
    yield _fitting("distilled, fp8, longest", usual, "distilled", ClipShape(768, 512, 1201))
    yield _needs("distilled, fp8, needs", usual, "distilled")
    yield Row("distilled, fp8, drift", Judged.GROWTH, usual, "distilled", (_drift(),))
    yield Row("distilled, fp8, cold", Judged.FITS, usual, "distilled", tuple(_cold()))
    sharing = Sharing("two processes", Clip("", SMALLEST_GIB))
    yield Row("distilled, fp8, sharing", Judged.SHARED, usual, "distilled", (sharing,), shares=True)
    guided, script = Files(Variant.LTX_2_3, Blocks.FP8, lora=True), "ti2vid_two_stages"
    few = replace(_USUAL, steps=_FEW_STEPS)
    yield Row(
        "two stages, fp8",
        Judged.EQUAL,
        guided,
        script,
        # Twice without: upstream's own clips differ from one another, by the sound alone, unless
        # they are made to repeat.
        (Clip("unparked", None, few, clips=2), *(Clip(_gib(b), b, few) for b in CARDS_GIB)),
        repeats=True,
    )
    yield Row(
        "two stages, fp8, all steps",
        Judged.ARITHMETIC,
        guided,
        script,
        (Clip(_gib(LARGEST_GIB), LARGEST_GIB, again=True), Clip("whole card", "auto")),
    )
    larger = ClipShape(1536, 1024, 121, steps=_FEW_STEPS)
    longest = ClipShape(768, 512, 961, steps=_FEW_STEPS)
    yield _fitting("two stages, fp8, larger", guided, script, larger)
    yield _fitting("two stages, fp8, longest", guided, script, longest)
    yield _needs("two stages, fp8, needs", guided, script)
    unquantized = Files(Variant.LTX_2, Blocks.BF16)
    yield from _distilled("distilled, bf16", unquantized)
    for name, flags in (("distilled, int8", ()), ("distilled, int8, compiled", ("--compile",))):
        yield Row(
            name,
            Judged.FITS,  # its products round otherwise than those of bf16
            unquantized,
            "distilled",
            (Clip(_gib(LARGEST_GIB), LARGEST_GIB, clips=2),),
            ("--quantization", "int8", *flags),
        )


def _distilled(name: str, files: Files) -> Iterator[Row]:
    parked = (
        *(Clip(_gib(b), b, again=b == SMALLEST_GIB) for b in CARDS_GIB),
        Clip("whole card", "auto"),
    )
    yield Row(name, Judged.EQUAL, files, "distilled", (Clip("unparked", None), *parked))


def _links() -> Iterator[Clip]:
    """First what arithmetic alone takes, then the machine's own link, then slower ones."""
    yield Clip("whole card", "auto")
    yield Clip(f"its own link, {_gib(SMALLEST_GIB)}", SMALLEST_GIB)
    for link in LINKS_GB_S:
        for budget in (LARGEST_GIB, SMALLEST_GIB):
            yield Clip(f"{link:g} GB/s, {_gib(budget)}", budget, link_gb_s=link)


def _fitting(name: str, files: Files, script: str, shape: ClipShape) -> Row:
    return Row(name, Judged.FITS, files, script, (Clip(_gib(LARGEST_GIB), LARGEST_GIB, shape),))


def _needs(name: str, files: Files, script: str) -> Row:
    steps = None if script == DISTILLED else _FEW_STEPS
    shapes = [ClipShape(*shape, steps=steps) for shape in _NEEDS]
    clips = tuple(Clip(str(shape), "auto", shape, keeps=False) for shape in shapes)
    return Row(name, Judged.NEEDS, files, script, clips)


def _drift() -> Drift:
    clips = tuple(Clip("", LARGEST_GIB, ClipShape(*shape)) for shape in _SMALL)
    return Drift("fifty requests", clips, 50 // len(clips))


def _cold() -> Iterator[Cold]:
    parked = Clip("", LARGEST_GIB)
    yield Cold("script, unparked", Clip("", None), script=True)
    yield Cold(f"script, {_gib(LARGEST_GIB)}", parked, script=True)
    yield Cold(f"child, {_gib(LARGEST_GIB)}", parked, script=False)


def _gib(budget: float) -> str:
    return f"{budget:g} GiB"


ROWS = tuple(_rows())
