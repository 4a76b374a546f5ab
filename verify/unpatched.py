"""What upstream 1.0.0 needs from outside its source to run without CUDA or with a small Gemma.

A tree with our group `portable` needs none of it.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

# Where upstream 1.0.0 names its constant Gemma 3 12B configuration, and by which name.
_CONFIGURATOR = "ltx_core.text_encoders.gemma.encoders.encoder_configurator"
_CONSTANT = "GEMMA3_CONFIG_FOR_LTX"


@contextmanager
def gemma_of(config: Any) -> Iterator[None]:
    """Within it, upstream builds the Gemma of `config`, a transformers `Gemma3Config`.

    Upstream reads `to_dict()` and `text_config` of its constant; a `Gemma3Config` has both.
    """
    module = importlib.import_module(_CONFIGURATOR)
    with _replaced(module, _CONSTANT, config):
        yield


@contextmanager
def without_cuda() -> Iterator[None]:
    """Within it, upstream's pipelines need no CUDA; where there is CUDA, nothing changes."""
    if torch.cuda.is_available():
        yield
        return
    fork_rng = torch.random.fork_rng

    def fork_rng_of_accelerators(
        devices: Iterable[torch.device], **rest: Any
    ) -> AbstractContextManager[None]:
        """As torch's, which keeps the CPU's state always and cannot be told to."""
        return fork_rng([device for device in devices if device.type != "cpu"], **rest)

    with (
        _replaced(torch.cuda, "synchronize", lambda: None),
        _replaced(torch.random, "fork_rng", fork_rng_of_accelerators),
    ):
        yield


@contextmanager
def _replaced(owner: object, name: str, value: object | Callable[..., object]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
