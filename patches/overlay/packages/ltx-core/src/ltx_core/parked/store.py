"""The one store of a process: models built once, parked, handed out again and again."""

import logging
from collections.abc import Hashable
from dataclasses import dataclass

import torch

from ltx_core.loader.registry import DummyRegistry
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.identity import FileIdentity, NotKnownError, identity, is_current, of_file
from ltx_core.parked.loading import BuilderT, OnHost, built_on_host
from ltx_core.parked.model import ParkedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """What a built model is made of; of equal ones it is the same."""

    parts: Hashable
    files: tuple[FileIdentity, ...]
    dtype: torch.dtype | None

    @classmethod
    def of(cls, builder: BuilderT, dtype: torch.dtype | None) -> "Key":
        """Raises: NotKnownError, OSError."""
        paths = builder.model_path
        files = (paths,) if isinstance(paths, str) else paths
        parts = {name: part for name, part in vars(builder).items() if not name.endswith("registry")}
        named = (*files, *(lora.path for lora in builder.loras))
        return cls(identity(parts), tuple(map(of_file, named)), dtype)

    def is_current(self) -> bool:
        """Whether its files are still what they were."""
        return all(is_current(file) for file in self.files)


class WeightStore(DummyRegistry):
    """Keeps the weights of every model in host memory, and as much on the card as `vram_budget` bytes allow.

    `host_budget` is what they may take of host memory, in bytes; None is what is free, less 4 GiB. Where that ends,
    another model of the same class goes that is not in use, as with another LoRA; else the rest stays in its file.
    A registry: upstream's builders and pipelines take it as `registry=`. It subclasses DummyRegistry, since only with
    one does upstream fuse LoRAs on the card and in place.
    """

    def __init__(self, vram_budget: int | None = None, host_budget: int | None = None) -> None:
        self._vram_budget, self._host_budget = vram_budget, host_budget
        self._models: dict[Key, ParkedModel] = {}
        self._unfilled: set[Key] = set()  # what their files don't fill
        self._card: Card | None = None
        self._host: HostMemory | None = None

    def within(self, vram_budget: int | None, host_budget: int | None) -> None:
        """Keep to these budgets from now on, in bytes, as `__init__` takes them; what is parked stays so."""
        self._vram_budget, self._host_budget = vram_budget, host_budget
        if self._card is not None:
            self._card.budget = vram_budget
        if self._host is not None:
            self._host.budget = host_budget

    @property
    def vram_budget(self) -> int | None:
        """Bytes that may be reserved on the card; None is what is free on it."""
        return self._vram_budget

    def model(self, builder: BuilderT, device: torch.device, dtype: torch.dtype | None) -> torch.nn.Module | None:
        """Return what `builder` builds, parked.

        None where it can't be told what that depends on, and where this store itself builds it.
        """
        if isinstance(builder.model_sd_ops, OnHost):
            return None
        try:
            key = Key.of(builder, dtype)
        except NotKnownError as unknown:
            logger.info(f"{builder.model_path}: built anew each time, since a {unknown} decides what it is")
            return None
        for other, parked in self._models.items():
            if other != key:
                parked.make_room()
        if key not in self._models and key not in self._unfilled:
            self._park(key, builder, device, dtype)
        return self._models[key].handed_out() if key in self._models else None

    def _park(self, key: Key, builder: BuilderT, device: torch.device, dtype: torch.dtype | None) -> None:
        if self._card is None:
            self._card, self._host = Card(device, self._vram_budget), HostMemory(device, self._host_budget)
        self._let_go([other for other in self._models if not other.is_current()])
        built = built_on_host(builder, self._card.device, dtype)
        tensors = (*built.parameters(), *built.buffers())
        if any(tensor.is_meta for tensor in tensors):  # upstream hands out what the files fill, with a warning
            self._unfilled.add(key)
            return
        needed = sum(tensor.nbytes for tensor in tensors)
        for other in self._of_kind(type(built).__name__):
            if not self._host.has_room(needed):
                self._let_go([other])
        self._models[key] = ParkedModel(built, self._card, self._host)

    def _of_kind(self, kind: str) -> list[Key]:
        """Return the models of a class, the one that was parked first before the others."""
        return [key for key, parked in self._models.items() if parked.kind == kind]

    def _let_go(self, keys: list[Key]) -> None:
        for key in keys:
            if not self._models[key].in_use:
                self._models.pop(key).let_go()
