"""What a measurement depends on: the few modules and patches that touch memory or arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ltx2_patcher.values.series import Series
from verify.upstream.code_digest import file_digest, patch_digest

_CORE = "packages/ltx-core/src/ltx_core"
_GEMMA = tuple(
    f"{_CORE}/text_encoders/gemma/{name}.py"
    for name in (
        "quantized/conversion",
        "quantized/loader",
        "quantized/meta_model",
        "quantized/methods/bitsandbytes_layers",
        "quantized/methods/four_bit",
        "quantized/methods/int8",
        "quantized/methods/method",
        "quantized/pieces",
        "quantized/plan",
        "quantized/quantization",
        "quantized/shard_writer",
        "quantized/stream",
        "root_config",
    )
)
_GEMMA_HOOKS = (
    "load_the_gemma_text_encoder_quantized.patch",
    "take_the_gemma_config_from_its_root.patch",
)
_TRANSFORMER = tuple(f"{_CORE}/loader/{name}.py" for name in ("prequantized", "transformer_keys"))
_FUSE_HOOKS = (
    "fuse_loras_into_fp8_weights_below_capability_8_9.patch",
    "import_triton_only_to_launch_its_kernel.patch",
)
_PARKED = tuple(
    f"{_CORE}/parked/{name}.py"
    for name in ("card", "host", "layout", "loading", "model", "passing", "places", "plan", "unit")
)
_INT8 = {
    name: f"{_CORE}/int8/{name}.py"
    for name in (
        "kernels",
        "operators",
        "product",
        "relaunching",
        "rotation",
        "rows",
        "tiles",
        "tuning",
    )
}
_CAMPAIGN = "vendor/env-{base}/bin/python -m verify.campaigns."
_WHOLE = _CAMPAIGN + "vram --tree vendor/LTX-2-{base} --work WEIGHTS --out verify/baselines"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of measurement; a patch counts on the bases that have it."""

    command: str  # measures the `{base}` again, into `{path}`
    overlay: tuple[str, ...] = ()  # paths in upstream's tree
    patches: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # with all their patches


_PIPELINES = Kind(f"{_WHOLE} --longest", _GEMMA + _TRANSFORMER, _GEMMA_HOOKS, ("ampere", "lean"))

_ON_TREE = f"PYTHONPATH=vendor/LTX-2-{{base}}/{_CORE.removesuffix('/ltx_core')}:. {_CAMPAIGN}"

KINDS: Mapping[str, Kind] = {
    "ampere": Kind(
        f"{_ON_TREE}fuse {{base}} {{path}}",
        patches=_FUSE_HOOKS,
    ),
    "gemma": Kind(
        f"{_CAMPAIGN}gemma --base {{base}} --tree vendor/LTX-2-{{base}} --work WEIGHTS "
        "--size full --json {path}",
        _GEMMA,
        _GEMMA_HOOKS,
    ),
    "int8": Kind(
        f"{_ON_TREE}int8 {{base}} {{path}} --tune",
        # Not the tiles, which are taken from what it finds.
        tuple(path for name, path in _INT8.items() if name != "tiles"),
    ),
    "int8_errors": Kind(
        f"{_ON_TREE}int8_errors {{base}} {{path}} --size full",
        (_INT8["product"], _INT8["rotation"], _INT8["rows"]),
    ),
    "int8_resources": Kind(
        f"{_ON_TREE}int8_resources {{base}} {{path}}",
        (_INT8["kernels"], _INT8["operators"], _INT8["tiles"]),
    ),
    "parked": Kind(
        f"{_CAMPAIGN}parked --tree vendor/LTX-2-{{base}} --work WEIGHTS --out {{path}}",
        _PARKED,
        groups=("parked",),
    ),
    "service": Kind(
        ".venv/bin/python -m verify.campaigns.service --base {base} --out {path}",
        _PARKED,
        groups=("parked",),
    ),
    "vram": _PIPELINES,
    "perf": replace(_PIPELINES, command=f"{_WHOLE} --time"),
}
"""By the first word of a file's name in verify/baselines/."""


def measured_code(series: Series, kind: str) -> dict[str, str]:
    """Digests of the code that a measurement of a series depends on, by path or patch."""
    of = KINDS[kind]
    overlay = {path: file_digest(path, series.overlay[path]) for path in of.overlay}
    patches = {
        patch.name: patch_digest(patch)
        for patch in series.patches
        if patch.name in of.patches or patch.group in of.groups
    }
    return overlay | patches
