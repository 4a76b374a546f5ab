"""The one store of a process: models built once, parked, handed out again and again."""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ltx_core.loader.registry import DummyRegistry
from ltx_core.parked.card import Card
from ltx_core.parked.copies import Copy, CopyDiffersError
from ltx_core.parked.host import HostMemory
from ltx_core.parked.identity import (
    FileIdentity,
    NotKnownError,
    digest,
    identity,
    is_current,
    of_file,
    of_program,
    sampled,
)
from ltx_core.parked.loading import BuilderT, OnHost, built_on_host
from ltx_core.parked.making import Making
from ltx_core.parked.mapping import FileRanges
from ltx_core.parked.model import ParkedModel
from ltx_core.parked.outputs import KeptOutputs
from ltx_core.parked.recipe import Recipe
from ltx_core.parked.shelves import Shelves, cache_folder
from ltx_core.parked.turns import Turns

_OUTPUTS = 512 * 1024**2
"""Bytes of host memory, beside the budget, for what prompts were encoded to: 12 to 15 MiB each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """What a built model is made of; of equal ones it is the same."""

    kind: str
    parts: Hashable
    files: tuple[FileIdentity, ...]
    dtype: torch.dtype | None

    @classmethod
    def of(cls, builder: BuilderT, dtype: torch.dtype | None) -> "Key":
        """Raises: NotKnownError, OSError."""
        paths = builder.model_path
        files = (paths,) if isinstance(paths, str) else paths
        parts = {name: part for name, part in vars(builder).items() if not name.endswith("registry")}
        configurator = parts.get("model_class_configurator") or parts["_model_class_configurator"]
        named = (*files, *(lora.path for lora in builder.loras))
        kind = configurator.__name__.partition("Configurator")[0]
        return cls(kind, identity(parts), tuple(map(of_file, named)), dtype)

    def name(self, device: torch.device) -> str:
        """Return its name in all processes: the kind of the model, and a digest. Raises: OSError."""
        files = tuple((file, sampled(file)) for file in self.files)
        whole = digest((self.parts, files, self.dtype, of_program(device)))
        return f"{self.kind}-{whole[:32]}"

    def is_current(self) -> bool:
        """Whether its files are still what they were."""
        return all(is_current(file) for file in self.files)


class WeightStore(DummyRegistry):
    """Keeps the weights of every model in host memory, and as much on the card as `vram_budget` bytes allow.

    `host_budget` is what they may take of host memory, in bytes; None is what is free, less 4 GiB. Where that ends,
    another model of the same class goes that is not in use, as with another LoRA; else the rest stays in its file, or
    in the cache folder of the user where loading changed it. Stores of one `weights_folder` share one copy there.
    A registry: upstream's builders and pipelines take it as `registry=`. It subclasses DummyRegistry, since only with
    one does upstream fuse LoRAs on the card and in place.
    """

    def __init__(
        self, vram_budget: int | None = None, host_budget: int | None = None, weights_folder: Path | None = None
    ) -> None:
        self._vram_budget, self._host_budget = vram_budget, host_budget
        self._shelves = Shelves(weights_folder)
        self._models: dict[Key, ParkedModel] = {}
        self._unfilled: set[Key] = set()  # what their files don't fill
        self._card: Card | None = None
        self._host: HostMemory | None = None
        self._turns: Turns | None = None
        self.outputs = KeptOutputs(_OUTPUTS)

    def within(self, vram_budget: int | None, host_budget: int | None, weights_folder: Path | None) -> None:
        """Keep to these from now on, as `__init__` takes them; what is parked stays so."""
        self._vram_budget, self._host_budget = vram_budget, host_budget
        self._shelves = Shelves(weights_folder)
        if self._card is not None:
            self.let_guess_go()
            self._card.budget, self._host.budget = vram_budget, host_budget

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
            self.let_guess_go()
            return None
        for other, parked in self._models.items():
            if other != key:
                parked.make_room()
        if key in self._models and self._models[key].failed:
            self._let_go([key])
        if key in self._models:
            return self._models[key].handed_out()
        self.let_guess_go()
        if key not in self._unfilled:
            self._park(key, builder, device)
        return self._models[key].handed_out() if key in self._models else None

    def let_guess_go(self) -> None:
        """What is on the card because it is likely next makes room for what was asked for."""
        if self._turns is not None:
            self._turns.let_go()

    def _park(self, key: Key, builder: BuilderT, device: torch.device) -> None:
        if self._card is None:
            self._card, self._host = Card(device, self._vram_budget), HostMemory(device, self._host_budget)
            self._turns = Turns(self._card)
        self._let_go([other for other in self._models if not other.is_current()])

        def name() -> str:
            return key.name(self._card.device)

        stored = self._shelves.found_or_begun(name)
        try:
            with _let_go_on_error(stored):
                parked = self._parked(key, builder, name, stored)
        except CopyDiffersError:
            stored.discard()
            parked = self._parked(key, builder, name, None)
        if parked is None:
            self._unfilled.add(key)
            if stored is not None:
                stored.let_go()
        else:
            self._models[key] = parked

    def _parked(self, key: Key, builder: BuilderT, name: Callable[[], str], stored: Copy | None) -> ParkedModel | None:
        """Return what is built, with its weights in `stored` where that has room; None where files don't fill it."""
        recipe = Recipe(None if stored is None else stored.state)
        with closing(Making(lambda nbytes: self._has_room(key, nbytes), cache_folder())) as making:
            built = built_on_host(builder, self._card.device, key.dtype, recipe, making.on_host)
        tensors = (*built.parameters(), *built.buffers())
        if any(tensor.is_meta for tensor in tensors):  # upstream hands out what the files fill, with a warning
            return None
        needed = sum(tensor.nbytes for tensor in tensors)
        is_there = stored is not None and stored.in_memory and not stored.is_new
        has_room = is_there or self._has_room(key, needed)
        stored = self._shelves.with_room(stored, needed, in_memory=has_room)
        if stored is None and not has_room and _is_made(built):
            stored = self._shelves.with_room(self._shelves.begun_in_cache(name), needed, in_memory=False)
        with _let_go_on_error(stored):
            parked = ParkedModel(built, self._card, self._host, self._turns, stored)
            if stored is not None:
                stored.finish(recipe.taken)
        return parked

    def _has_room(self, key: Key, nbytes: int) -> bool:
        """Say whether host memory has room for so much of a model; others of its kind go that are not in use."""
        for other in [other for other in self._models if other.kind == key.kind]:
            if not self._host.has_room(nbytes):
                self._let_go([other])
        return self._host.has_room(nbytes)

    def _let_go(self, keys: list[Key]) -> None:
        for key in keys:
            if not self._models[key].in_use:
                self._models.pop(key).let_go()


@contextmanager
def _let_go_on_error(stored: Copy | None) -> Iterator[None]:
    """Others wait for a copy that is being made, and a traceback would hold it."""
    try:
        yield
    except BaseException:
        if stored is not None:
            stored.let_go()
        raise


def _is_made(model: torch.nn.Module) -> bool:
    """Whether loading made much of a model: what a file holds as it is, stays there."""
    files = FileRanges()
    parameters = list(model.parameters())
    made = sum(parameter.nbytes for parameter in parameters if not files.hold(parameter))
    return made > sum(parameter.nbytes for parameter in parameters) // 8
