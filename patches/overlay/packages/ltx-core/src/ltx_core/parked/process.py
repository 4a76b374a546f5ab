"""What this process was asked for: a store, or none. What upstream's modules call imports nothing of theirs."""

import gc
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from ltx_core.loader.registry import Registry
    from ltx_core.parked.loading import BuilderT
    from ltx_core.parked.store import WeightStore

_store: "list[WeightStore]" = []  # one, or none


def park_weights(
    vram_budget: int | None = None, host_budget: int | None = None, weights_folder: "Path | None" = None
) -> None:
    """Let builders use the store of this process from now on, within so many bytes of the card and of host memory.

    None is what is free there. Processes that name the same folder share one copy. What is parked already stays so.
    """
    from ltx_core.parked.store import WeightStore  # noqa: PLC0415 - it imports what calls this module

    if not _store:
        gc.freeze()  # imports made half a million objects that stay: a look at all of them takes 0.2 s
        _store.append(WeightStore())
    _store[0].within(vram_budget, host_budget, weights_folder)


def take_out_parked_weights() -> None:
    """Let builders build anew from now on, and let go of the store of this process."""
    for store in _store:
        store.let_guess_go()
    _store.clear()


def is_at_work() -> bool:
    """Whether the process has a store: memory that it keeps is not to be collected and given back in between."""
    return bool(_store)


def memory_for_decoding() -> int | None:
    """Return the bytes of the card that a decoder may reckon with, the same in each run; None without a budget."""
    return _store[0].vram_budget if _store else None


def parked_model(
    builder: "BuilderT", registry: "Registry", device: torch.device, dtype: torch.dtype | None
) -> torch.nn.Module | None:
    """Return the model of `builder` from the store that its registry is, or that was asked for; None without either."""
    store = store_of(registry)
    return None if store is None else store.model(builder, device, dtype)


def store_of(registry: "Registry") -> "WeightStore | None":
    """Return the store that `registry` is, or that was asked for; None without either."""
    return registry if hasattr(registry, "vram_budget") else next(iter(_store), None)
