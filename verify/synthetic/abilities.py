"""What file sets an upstream can load, told by the modules that it has.

Never by a version: upstream calls everything of January to March 2026 1.0.0. The modules are
looked up and not imported, so that a wrong request fails before torch is.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from ltx2_patcher.values.errors import UsageError
from verify.synthetic.architecture import GemmaFamily, Variant
from verify.synthetic.files import Layout

Kind = TypeVar("Kind", bound=Enum)


def variants(ltx_core: Path) -> list[Variant]:
    """The model families that the upstream whose package lies at `ltx_core` runs."""
    families = [Variant.LTX_2]
    if (ltx_core / "text_encoders" / "gemma" / "embeddings_processor.py").is_file():
        families.append(Variant.LTX_2_3)
    if (ltx_core / "duration_head").is_dir():
        families.append(Variant.LTX_2_5)
    return families


def gemmas(ltx_core: Path) -> list[GemmaFamily]:
    """The text encoders that it takes."""
    return list(GemmaFamily) if _reads_assets(ltx_core) else [GemmaFamily.GEMMA_3]


def layouts(ltx_core: Path) -> list[Layout]:
    """How its models may lie in files; a split one holds Gemma as a packed file."""
    return list(Layout) if _reads_assets(ltx_core) else [Layout.MONOLITH]


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


def _reads_assets(ltx_core: Path) -> bool:
    return (ltx_core / "text_encoders" / "gemma" / "gemma_assets.py").is_file()
