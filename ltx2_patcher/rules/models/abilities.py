"""What follows from an upstream's abilities, and which it has by what lies in its tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ltx2_patcher.values.abilities import Abilities, Ability
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.weights import GemmaRoot

_FAMILY = {"LTX-2": "Gemma 3", "LTX-2.3": "Gemma 3", "LTX-2.5": "Gemma 4"}
CORE = "packages/ltx-core/src/ltx_core"
"""The package ltx_core in upstream's tree."""
_SCRIPTS = "packages/ltx-pipelines/src/ltx_pipelines"
_UTILS = f"{_SCRIPTS}/utils"
_LOADS = (
    ("LTX-2 19B", None),
    ("LTX-2.3 22B", f"{CORE}/text_encoders/gemma/embeddings_processor.py"),
    ("LTX-2.5 22B", f"{CORE}/duration_head/__init__.py"),
)
"""Each family, and the module that came with it."""
_SHOWN_BY: tuple[tuple[Ability, str, bytes], ...] = (
    ("packed-files", f"{CORE}/text_encoders/gemma/gemma_assets.py", b""),
    (
        "any-gemma-names",
        f"{CORE}/text_encoders/gemma/encoders/base_encoder.py",
        b"Gemma3ForConditionalGeneration.from_pretrained(",
    ),
    ("folds-scales", f"{CORE}/quantization/fp8_cast.py", b"_build_prequant_fold_sd_ops("),
    # Where our own patch folds them.
    ("folds-scales", f"{_UTILS}/model_ledger.py", b"folding_scales("),
    ("folds-scales", f"{_UTILS}/blocks.py", b"folding_scales("),
    ("scaled-mm", f"{_UTILS}/args.py", b"def _resolve_quantization("),
    (
        "widens-fp8",
        f"{_UTILS}/model_ledger.py",
        b"transformer_builder.build(device=self._target_device(), dtype=self.dtype)",
    ),
    ("loras-in-retake", f"{_SCRIPTS}/retake.py", b"args.lora)"),
    # These are our own patches'.
    ("any-lora-layout", f"{CORE}/loader/single_gpu_model_builder.py", b"in_any_layout("),
    ("exact-rates", f"{_UTILS}/media_io.py", b"exact_rate("),
    ("exact-rates", f"{_UTILS}/media_io/encode.py", b"exact_rate("),
    ("parks-weights", f"{_UTILS}/args.py", b"add_parked_flags(parser)"),
    ("int8-products", f"{_UTILS}/args.py", b"add_int8_flags(parser)"),
)
"""Each ability, and a file that holds these bytes where an upstream has it."""
_GIVEN: frozenset[Ability] = frozenset(
    {"folds-scales", "any-lora-layout", "exact-rates", "parks-weights", "int8-products"}
)
"""What the whole series gives a base that does not lack it by vendor/upstream.toml."""
_NEEDED_BESIDE = {
    False: ("tokenizer.model", "preprocessor_config.json"),
    True: ("tokenizer.json", "tokenizer_config.json", "processor_config.json"),
}


def stated(base: Base) -> Abilities:
    """Those of a base as it is, as vendor/upstream.toml states them."""
    return Abilities(base.name, base.loads, base.abilities)


def patched(base: Base) -> Abilities:
    """Those of a base with its whole series."""
    return Abilities(base.name, base.loads, base.abilities | (_GIVEN - base.lacks))


def shown(name: str, read: Callable[[str], bytes | None]) -> Abilities:
    """Those of the upstream in a tree, told by its content; `read` gives a file's, or None."""
    return Abilities(
        name,
        tuple(family for family, path in _LOADS if path is None or read(path) is not None),
        frozenset(ability for ability, path, mark in _SHOWN_BY if _holds(read(path), mark)),
    )


def gemma_of(generation: str) -> str:
    """The family of the text encoder that a generation was trained with: "Gemma 3"."""
    return _FAMILY[generation]


def nearest(able: Abilities, others: Sequence[Abilities], needed: Ability) -> Abilities | None:
    """The one of `others`, which stand in upstream's order, to turn to for what this one can't: the
    first from its own base on, else the last; it loads what this one loads.
    """
    names = [other.base for other in others]
    own = names.index(able.base) if able.base in names else 0
    fit = [o for o in others if needed in o.can and set(able.loads) <= set(o.loads)]
    return next((o for o in fit if names.index(o.base) >= own), fit[-1] if fit else None)


def whole_series(able: Abilities) -> str:
    """The remedy where a base's own series is in by its first groups only."""
    return f"take the whole series: `ltx2-patcher apply --base {able.base}`"


def is_generation(name: str | None) -> bool:
    """Whether it is one that is told by its tensors; a release between two of them may not be."""
    return name in _FAMILY


def loaded_with(able: Abilities, family: str) -> tuple[str, ...]:
    """The variants that it loads and that take a Gemma of the family."""
    return tuple(variant for variant in able.loads if gemma_of(variant.split()[0]) == family)


def needed_beside_gemma(able: Abilities, gemma: GemmaRoot) -> Sequence[str]:
    """The files it looks up beside a Gemma's shards: `find_matching_file` in base_encoder.py, and
    from 7954dcb on gemma_assets.py, which takes the image processor from either of two.
    """
    needed = _NEEDED_BESIDE[able.takes_packed_files]
    if able.takes_packed_files and not gemma.nests_image_processor:
        return (*needed, "preprocessor_config.json")
    return needed


def _holds(content: bytes | None, mark: bytes) -> bool:
    return content is not None and mark in content
