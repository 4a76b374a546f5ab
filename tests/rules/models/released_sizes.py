"""The released models in bf16, by their tensors' published shapes (verify/synthetic/metadata)."""

from __future__ import annotations

from dataclasses import replace

from ltx2_patcher.values.weights import Component
from tests.rules.models.test_budget import CHECKPOINT


def _component(name: str, tensors: int, elements: int) -> Component:
    return Component(name, tensors, elements, elements * 2, {})


LTX_2 = replace(
    CHECKPOINT,
    components=(
        _component("embeddings processor", 59, 1_431_475_200),
        _component("transformer", 3510, 18_876_174_592),
        _component("video vae", 184, 1_222_479_857),
        _component("audio vae", 102, 53_248_402),
        _component("vocoder", 194, 55_592_802),
    ),
)
LTX_2_3 = replace(
    CHECKPOINT,
    variant="LTX-2.3 22B",
    fp8_elements=18_550_358_016,
    components=(
        _component("embeddings processor", 262, 3_172_227_584),
        _component("transformer", 4186, 18_988_838_144),
        _component("video vae", 170, 726_106_225),
        _component("audio vae", 102, 53_248_402),
        _component("vocoder", 1227, 129_085_032),
    ),
    bytes=46_139_010_774,
)
