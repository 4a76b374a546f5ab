"""What some revisions of upstream can do and others can't, told by what vendor/upstream.toml says.

LTX-2.5 came with Gemma 4, packed and split files in one revision, so the families that a base loads
tell all of these; where no family does, its date among upstream's revisions tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltx2_patcher.values.base import GROUPS, Base
from ltx2_patcher.values.series import Lock

_FAMILY = {"LTX-2": "Gemma 3", "LTX-2.3": "Gemma 3", "LTX-2.5": "Gemma 4"}
_NEEDED_BESIDE = {
    False: ("tokenizer.model", "preprocessor_config.json"),
    True: ("tokenizer.json", "tokenizer_config.json", "processor_config.json"),
}


def gemma_of(generation: str) -> str:
    """The family of the text encoder that a generation was trained with: "Gemma 3"."""
    return _FAMILY[generation]


def is_generation(name: str | None) -> bool:
    """Whether it is one that is told by its tensors; a release between two of them may not be."""
    return name in _FAMILY


def loaded_with(base: Base, family: str) -> tuple[str, ...]:
    """The variants that the base loads and that take a Gemma of the family."""
    return tuple(variant for variant in base.loads if gemma_of(variant.split()[0]) == family)


def takes_packed_gemma(base: Base) -> bool:
    """Whether it opens a Gemma packed into one file: from 7954dcb on, which brought LTX-2.5."""
    return any(variant.split()[0] == "LTX-2.5" for variant in base.loads)


def leaves_names_to_transformers(base: Base) -> bool:
    """Whether transformers reads Gemma's shards, which takes any spelling of their names: before
    4f41082 of 2026-01-29, which has key operations of its own.
    """
    return base.date < "2026-01-29"


def needed_beside_gemma(base: Base) -> Sequence[str]:
    """The files it looks up beside a Gemma's shards: `find_matching_file` in base_encoder.py, and
    from 7954dcb on gemma_assets.py.
    """
    return _NEEDED_BESIDE[takes_packed_gemma(base)]


def folds_scales(base: Base, lock: Lock, group: str | None) -> bool:
    """Whether fp8-cast reads the scales of a prequantized checkpoint in a tree patched up to
    `group`; None for a tree whose edits keep that from being told.

    Upstream itself does from 7dc613f of 2026-05-28 on.
    """
    if base.date >= "2026-05-28" or group is None:
        return True
    patch = lock.patches.get(_FOLDING)
    return patch is not None and GROUPS.index(patch.group) <= GROUPS.index(group)


_FOLDING = "fold_the_scales_of_prequantized_fp8_checkpoints.patch"
