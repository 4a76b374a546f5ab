"""What file sets an upstream can load, told by what lies in it.

Never by a version: upstream calls everything of January to March 2026 1.0.0. Nothing is imported,
so that a wrong request fails before torch is.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.abilities import CORE, shown
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.errors import UsageError
from verify.synthetic.architecture import GemmaFamily, Variant
from verify.synthetic.files import Layout

Kind = TypeVar("Kind", bound=Enum)


_VARIANTS = {
    "LTX-2 19B": Variant.LTX_2,
    "LTX-2.3 22B": Variant.LTX_2_3,
    "LTX-2.5 22B": Variant.LTX_2_5,
}


def variants(ltx_core: Path) -> list[Variant]:
    """The model families that the upstream whose package lies at `ltx_core` runs."""
    return [_VARIANTS[family] for family in _abilities(ltx_core).loads]


def gemmas(ltx_core: Path) -> list[GemmaFamily]:
    """The text encoders that it takes."""
    return list(GemmaFamily) if _abilities(ltx_core).takes_packed_files else [GemmaFamily.GEMMA_3]


def layouts(ltx_core: Path) -> list[Layout]:
    """How its models may lie in files; a split one holds Gemma as a packed file."""
    return list(Layout) if _abilities(ltx_core).takes_packed_files else [Layout.MONOLITH]


def require(ltx_core: Path, variant: Variant, gemma: GemmaFamily, layout: Layout) -> None:
    """Return if the upstream at `ltx_core` loads such a file set.

    Raises: UsageError (it does not; with what it loads).
    """
    _require("variant", variant, variants(ltx_core))
    _require("gemma", gemma, gemmas(ltx_core))
    _require("layout", layout, layouts(ltx_core))


def _require(option: str, asked: Kind, offered: Sequence[Kind]) -> None:
    if asked not in offered:
        raise UsageError(
            f"the upstream on the path does not load --{option} {asked.value}",
            remedy=f"ask for {' or '.join(kind.value for kind in offered)}, or put a newer "
            "upstream on PYTHONPATH",
        )


def _abilities(ltx_core: Path) -> Abilities:
    return shown("on the path", lambda path: disk.read(ltx_core / path.removeprefix(f"{CORE}/")))
