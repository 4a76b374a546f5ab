"""What one upstream can do and another can't, beside what its scripts' options tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ability = Literal[
    "packed-files",
    "any-gemma-names",
    "folds-scales",
    "scaled-mm",
    "widens-fp8",
    "loras-in-retake",
    "any-lora-layout",
    "exact-rates",
    "parks-weights",
    "int8-products",
]
"""- packed-files: it opens a Gemma packed into one file, and models in a file a part (from upstream
  7954dcb of 2026-08-11 on).
- any-gemma-names: transformers reads Gemma's shards, so any spelling of their names will do (before
  upstream 4f41082 of 2026-01-29).
- folds-scales: fp8-cast reads the scales of a prequantized checkpoint (from upstream 7dc613f of
  2026-05-28 on).
- scaled-mm: it takes --quantization fp8-scaled-mm (from the same on; before, its own parser hands
  the policy an argument that it does not take).
- widens-fp8: without a flag it brings a transformer stored in fp8 to bf16 (before upstream a2c3f24
  of 2026-04-13; since then it multiplies by it as it is, and fails).
- loras-in-retake: the script of retake makes LoRAs of what it is given (from the same on; before,
  it hands the paths on as they are, which its loader ends at).
- any-lora-layout: it reads LoRAs in every layout, with their alphas (by our series alone).
- exact-rates: the file of a clip states a frame rate that is no whole number (by our series alone).
- parks-weights: it keeps weights in host memory, with --vram-budget (by our series alone).
- int8-products: it takes --quantization int8, and reads files of 8-bit integers (likewise).
"""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Those of one upstream: of a base as vendor/upstream.toml states them, alone or with its whole
    series, or of a tree by what lies in it.
    """

    base: str  # its name, for messages
    loads: tuple[str, ...]  # the model families it can run: "LTX-2.3 22B"
    can: frozenset[Ability]

    @property
    def takes_packed_files(self) -> bool:
        """Whether it opens packed Gemmas and models in a file a part."""
        return "packed-files" in self.can

    @property
    def takes_any_gemma_names(self) -> bool:
        """Whether it loads a Gemma whose tensors are named as newer transformers do."""
        return "any-gemma-names" in self.can

    @property
    def folds_scales(self) -> bool:
        """Whether fp8-cast reads the scales of a prequantized checkpoint."""
        return "folds-scales" in self.can

    @property
    def takes_scaled_mm(self) -> bool:
        """Whether --quantization fp8-scaled-mm gets past its parser."""
        return "scaled-mm" in self.can

    @property
    def widens_fp8(self) -> bool:
        """Whether it loads a transformer that is stored in fp8 without a flag."""
        return "widens-fp8" in self.can

    @property
    def takes_loras_in_retake(self) -> bool:
        """Whether the script of retake makes LoRAs of what it is given."""
        return "loras-in-retake" in self.can

    @property
    def reads_any_lora_layout(self) -> bool:
        """Whether it reads LoRAs in every layout, with their alphas."""
        return "any-lora-layout" in self.can

    @property
    def states_exact_rates(self) -> bool:
        """Whether the file of a clip states a frame rate that is no whole number."""
        return "exact-rates" in self.can

    @property
    def parks_weights(self) -> bool:
        """Whether it keeps weights in host memory, with --vram-budget."""
        return "parks-weights" in self.can

    @property
    def multiplies_integers(self) -> bool:
        """Whether it takes --quantization int8."""
        return "int8-products" in self.can
