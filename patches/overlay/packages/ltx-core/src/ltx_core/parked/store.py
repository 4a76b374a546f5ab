"""The one store of a process: models built once, parked, handed out again and again."""

import logging
from collections.abc import Hashable

import torch

from ltx_core.loader.registry import DummyRegistry
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.identity import NotKnownError, identity, of_file
from ltx_core.parked.loading import BuilderT, OnHost, built_on_host
from ltx_core.parked.model import ParkedModel

logger = logging.getLogger(__name__)


class WeightStore(DummyRegistry):
    """Keeps the weights of every model in host memory, and as much on the card as `vram_budget` bytes allow.

    A registry: upstream's builders and pipelines take it as `registry=`. It subclasses DummyRegistry, since only with
    one does upstream fuse LoRAs on the card and in place.
    """

    def __init__(self, vram_budget: int | None = None) -> None:
        self._vram_budget = vram_budget
        self._models: dict[Hashable, ParkedModel] = {}
        self._card: Card | None = None
        self._host: HostMemory | None = None

    @property
    def vram_budget(self) -> int | None:
        """Bytes that may be reserved on the card; None is what is free on it."""
        return self._vram_budget

    @vram_budget.setter
    def vram_budget(self, nbytes: int | None) -> None:
        self._vram_budget = nbytes
        if self._card is not None:
            self._card.budget = nbytes

    def model(self, builder: BuilderT, device: torch.device, dtype: torch.dtype | None) -> torch.nn.Module | None:
        """Return what `builder` builds, parked.

        None where it can't be told what that depends on, and where this store itself builds it.
        """
        if isinstance(builder.model_sd_ops, OnHost):
            return None
        try:
            key = (_identity_of(builder), dtype)
        except NotKnownError as unknown:
            logger.info(f"{builder.model_path}: built anew each time, since a {unknown} decides what it is")
            return None
        for other, parked in self._models.items():
            if other != key:
                parked.make_room()
        if key not in self._models and not self._park(key, builder, device, dtype):
            return None
        return self._models[key].handed_out()

    def _park(self, key: Hashable, builder: BuilderT, device: torch.device, dtype: torch.dtype | None) -> bool:
        if self._card is None:
            self._card, self._host = Card(device, self._vram_budget), HostMemory(device)
        built = built_on_host(builder, self._card.device, dtype)
        tensors = (*built.parameters(), *built.buffers())
        if any(tensor.is_meta for tensor in tensors):  # upstream hands out what the files fill, with a warning
            return False
        self._models[key] = ParkedModel(built, self._card, self._host)
        return True


def _identity_of(builder: BuilderT) -> Hashable:
    paths = builder.model_path
    files = (paths,) if isinstance(paths, str) else paths
    parts = {name: part for name, part in vars(builder).items() if not name.endswith("registry")}
    return identity(parts), *(of_file(file) for file in (*files, *(lora.path for lora in builder.loras)))
