"""A model whose weights lie in host memory, and how they come to the card while it is used."""

import copy
import weakref
from collections.abc import Callable, Sequence

import torch

from ltx_core.parked import observer
from ltx_core.parked.card import Card, plain_tensors
from ltx_core.parked.copies import Copy
from ltx_core.parked.host import HostMemory
from ltx_core.parked.mapping import FileRanges
from ltx_core.parked.passing import PassingBlocks
from ltx_core.parked.places import Place, places_of
from ltx_core.parked.turns import SMALL, Turns
from ltx_core.parked.unit import Home, Parts, Unit

_BLOCKS = ("transformer_blocks", "model.model.language_model.layers")
"""Where upstream's models hold blocks that are called one after the other: LTX's transformer, Gemma's layers."""
_CALLED = (
    "feature_extractor",
    "video_connector",
    "audio_connector",
    "model.model.vision_tower",
    "model.model.multi_modal_projector",
)
"""Large parts that are called once in a while: of the embeddings processor, and Gemma's eyes."""
_TABLE, _HEAD = "model.model.language_model.embed_tokens", "model.lm_head"
"""Gemma's embedding table, of which a prompt needs a few rows, and the layer that is tied to it."""


class Lease:
    """One use of a parked model, from when it is handed out until it is disposed of or nobody holds it any more."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def end(self) -> None:
        if self._end is not None:
            end, self._end = self._end, None
            end()


class ParkedModel:
    """Blocks pass through the card, large parts come when they are called, the rest when the model is handed out."""

    def __init__(
        self, model: torch.nn.Module, card: Card, host: HostMemory, turns: Turns, stored: Copy | None = None
    ) -> None:
        """Park `model`, whose tensors all lie on the host; its modules and hooks are the store's from now on.

        Their values are those of `stored`, which a new one takes from it. Raises: CopyDiffersError.
        """
        self._model, self._card, self._turns, self._stored = model, card, turns, stored
        self._leases = 0
        self._first: Unit | None = None
        self._bound: dict[Unit, torch.Tensor] = {}
        self._units: list[Unit] = []
        _keep_four_bits_as_they_are(model)
        parts = Parts(model)
        modules = dict(model.named_modules())
        table = modules.get(_TABLE)
        blocks = next((list(modules[name]) for name in _BLOCKS if name in modules), [])
        called = [modules[name] for name in _CALLED if name in modules]
        of_table = None if table is None else parts.claim([Place(table.weight, "data")])
        of_blocks = [parts.claim(places_of(block)) for block in blocks]
        of_called = [parts.claim(places_of(module)) for module in called]
        home = Home(host, FileRanges(), stored)

        def park(tensors: Sequence[Sequence[Place]]) -> Unit:
            self._units.append(Unit(tensors, card.device, home))
            return self._units[-1]

        with plain_tensors():
            # Read in the order in which they are needed first.
            self._rest = park(parts.claim(places_of(model)))
            if of_table is not None:
                self._park_table(table, park(of_table), modules.get(_HEAD))
            passing = list(map(park, of_blocks))
            for unit, following in zip(passing, passing[1:] + passing[:1], strict=True):
                unit.following = following
            self._blocks = PassingBlocks(card, passing, turns) if blocks else None
            for index, block in enumerate(blocks):
                self._pass(index, block)
            for module, tensors in zip(called, of_called, strict=True):
                self._bind_while_called(module, park(tensors))
        if self._blocks is not None:
            self._repeat_without_kept_blocks()

    def handed_out(self) -> torch.nn.Module:
        """Return the model, with a lease that ends with what is returned."""
        observer.begun(self.kind)
        self._turns.begin(self)
        if self._leases == 0:
            self._first = None
            self._card.trim()
            self._bind(self._rest)
        self._leases += 1
        handle = copy.copy(self._model)
        lease = Lease(self._ended)
        vars(handle)["_lease"] = lease
        weakref.finalize(handle, lease.end).atexit = False
        return handle

    def make_room(self) -> None:
        """Let go of what stays on the card for speed alone."""
        if self._blocks is not None and self._blocks.keeps:
            self._blocks.release()
            self._card.trim()

    @property
    def kind(self) -> str:
        """The class of the model."""
        return type(self._model).__name__

    @property
    def first(self) -> Unit | None:
        """What its next use needs first, if that goes as the last one; None of a model in use, and of small ones."""
        return None if self.in_use else self._first

    @property
    def in_use(self) -> bool:
        """Whether a lease of it goes on."""
        return self._leases > 0

    @property
    def failed(self) -> bool:
        """Whether weights of it could not be read; it is of no use then."""
        return any(unit.failed for unit in self._units)

    def let_go(self) -> None:
        """Give back the host memory of a model that is not in use."""
        for unit in self._units:
            unit.let_go()
        if self._stored is not None:
            self._stored.let_go()

    def _ended(self) -> None:
        self._leases -= 1
        if self._leases == 0:
            if self._blocks is not None:
                self._blocks.release()
            for unit in list(self._bound):
                self._unbind(unit)

    def _bind(self, unit: Unit) -> None:
        if unit not in self._bound:
            buffer, there = self._turns.brought(unit)
            self._card.wait(there)
            unit.bind(unit.layout.views(buffer))
            self._bound[unit] = buffer
            if self._first is None and unit.nbytes > SMALL:
                self._first = unit

    def _unbind(self, unit: Unit) -> None:
        unit.unbind()
        self._card.let_go(self._bound.pop(unit))

    def _pass(self, index: int, block: torch.nn.Module) -> None:
        block.register_forward_pre_hook(
            lambda _, args, kwargs: self._blocks.before(index, (args, kwargs)), with_kwargs=True
        )
        block.register_forward_hook(lambda *_: self._blocks.after(index))

    def _bind_while_called(self, module: torch.nn.Module, unit: Unit) -> None:
        module.register_forward_pre_hook(lambda *_: self._bind(unit))
        module.register_forward_hook(lambda *_: self._unbind(unit))

    def _park_table(self, table: torch.nn.Module, unit: Unit, head: torch.nn.Module | None) -> None:
        """Copy the rows that are looked up; the whole table comes for the head, and stays until the lease ends."""
        empty = table.weight.data

        def look_up(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
            if unit in self._bound:
                return None
            tokens, places = torch.unique(args[0].cpu(), return_inverse=True)
            with plain_tensors():
                table.weight.data = unit.tensors[0].index_select(0, tokens).to(self._card.device)
            return (places.to(args[0].device), *args[1:])

        def let_go(*_: object) -> None:
            if unit not in self._bound:
                with plain_tensors():
                    table.weight.data = empty

        table.register_forward_pre_hook(look_up)
        table.register_forward_hook(let_go)
        if head is not None:
            head.register_forward_pre_hook(lambda *_: self._bind(unit))

    def _repeat_without_kept_blocks(self) -> None:
        """Where kept blocks leave too little memory, the same forward is run again without them."""
        forward = self._model.forward

        def repeated(*args: object, **kwargs: object) -> object:
            try:
                return forward(*args, **kwargs)
            except torch.OutOfMemoryError:
                if not (self._turns.let_go() or self._blocks.keeps):
                    raise
            # Out of the handler: its traceback holds what the forward had made.
            self._blocks.give_up()
            self._card.trim()
            return forward(*args, **kwargs)

        self._model.forward = repeated


def released(module: torch.nn.Module) -> bool:
    """End the leases of parked models in `module`, and say whether there is any."""
    leases = [lease for part in module.modules() if (lease := vars(part).get("_lease")) is not None]
    for lease in leases:
        lease.end()
    return bool(leases)


def _keep_four_bits_as_they_are(model: torch.nn.Module) -> None:
    """Parked weights are never changed; bitsandbytes repacks 4-bit ones in place on CPUs with AVX512-BF16."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
