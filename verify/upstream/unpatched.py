"""What upstream needs from outside its source to run without CUDA or with a small Gemma.

A tree with our group `portable` needs none of it. Each revision is asked for what its modules have.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

_GEMMA = "ltx_core.text_encoders.gemma"
# From 2026-01-29 to 2026-08-11 upstream has a constant Gemma 3 12B configuration, by this name.
_CONSTANT = "GEMMA3_CONFIG_FOR_LTX"
_CARD_BYTES = 24 << 30


def bound_to_root(configurator: Any, gemma_root: Path) -> Any:
    """`configurator`, told of the root where it reads Gemma's sizes there; else as it is."""
    if hasattr(configurator, "with_gemma_model_path"):  # upstream since 2026-08-11
        return configurator.with_gemma_model_path(str(gemma_root))
    if hasattr(configurator, "gemma_root"):  # with our group `portable`
        return type(configurator.__name__, (configurator,), {"gemma_root": str(gemma_root)})
    return configurator


def lend_unpublished() -> None:
    """A module that upstream imports and did not publish can be imported from now on.

    In the revisions of 2026-05-11 and 2026-05-28 (7dc613f) that is
    ltx_pipelines.multigpu.delegating_builder, of which blocks.py only names a type. Where upstream
    has the package, nothing changes.
    """
    pipelines = importlib.util.find_spec("ltx_pipelines")  # not of the module: that imports this
    if pipelines and not Path(str(pipelines.origin)).with_name("multigpu").exists():
        package = ModuleType("ltx_pipelines.multigpu")
        module = ModuleType("ltx_pipelines.multigpu.delegating_builder")
        module.__dict__["DelegatingBuilder"] = list  # takes a type in brackets, as upstream's does
        sys.modules |= {package.__name__: package, module.__name__: module}


@contextmanager
def gemma_of(root: Path) -> Iterator[None]:
    """Within it, upstream builds the Gemma 3 that `root`'s config.json describes.

    Nothing changes where upstream reads its sizes there itself.
    """
    with ExitStack() as stack:
        if importlib.util.find_spec(f"{_GEMMA}.encoders.encoder_configurator") is not None:
            module = importlib.import_module(f"{_GEMMA}.encoders.encoder_configurator")
            if hasattr(module, _CONSTANT) and not _is_bound(module.GemmaTextEncoderConfigurator):
                stack.enter_context(replaced(module, _CONSTANT, _config_of(root)))
        else:
            module = importlib.import_module(f"{_GEMMA}.encoders.av_encoder")
            if not _is_bound(module.AVGemmaTextEncoderModelConfigurator):
                stack.enter_context(_sized_text_encoder(module, _config_of(root).text_config))
                if hasattr(module, _CONSTANT):
                    stack.enter_context(replaced(module, _CONSTANT, _config_of(root)))
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
        replaced(torch.cuda, "synchronize", lambda: None),
        replaced(torch.random, "fork_rng", fork_rng_of_accelerators),
        _float32_vocoder(),
        _memory_to_decode_in(),
    ):
        yield


@contextmanager
def _float32_vocoder() -> Iterator[None]:
    """Within it, the vocoder of LTX-2.3 holds float32 weights where upstream leaves that to
    autocast, which a CPU has for 16 bits only; the result is the same.
    """
    module = importlib.import_module("ltx_core.model.audio_vae.vocoder")
    vocoder = getattr(module, "VocoderWithBWE", None)
    if vocoder is None or "autocast" not in vocoder.forward.__code__.co_names:
        yield
        return
    forward = vocoder.forward
    with replaced(vocoder, "forward", lambda self, mel: forward(self.float(), mel)):
        yield


@contextmanager
def _memory_to_decode_in() -> Iterator[None]:
    """Within it, the diffusion VAE of LTX-2.5 is tiled as on a card of 24 GB: upstream counts a
    machine's memory as none where there is no CUDA. Only whether tiles fit depends on it.
    """
    module = importlib.import_module("ltx_pipelines.utils.helpers")
    tiling = getattr(module, "tiling_config_for_vae", None)
    if tiling is None or "free_bytes" not in inspect.signature(tiling).parameters:
        yield
        return

    def tiled(*args: Any, free_bytes: int | None = None, **rest: Any) -> Any:
        return tiling(*args, free_bytes=_CARD_BYTES if free_bytes is None else free_bytes, **rest)

    with replaced(module, "tiling_config_for_vae", tiled):
        yield


@contextmanager
def _sized_text_encoder(module: Any, text: Any) -> Iterator[None]:
    """Within it, the text encoder of January and February 2026 has the sizes of `text`, a Gemma 3's
    text config, and the connectors those of the checkpoint, in place of 3840 * 49 and 30 x 128.
    """
    connectors = importlib.import_module(f"{_GEMMA}.embeddings_connector")

    configurator = module.AVGemmaTextEncoderModelConfigurator
    original = configurator.from_config

    def from_config(_cls: Any, config: dict[str, Any]) -> Any:
        stated = config["transformer"]
        sized = partial(
            connectors.Embeddings1DConnector,
            attention_head_dim=stated["connector_attention_head_dim"],
            num_attention_heads=stated["connector_num_attention_heads"],
            num_layers=stated["connector_num_layers"],
        )
        with replaced(connectors, "Embeddings1DConnector", sized):
            encoder = original(config)
        states = text.num_hidden_layers + 1  # the embedding's too
        encoder.feature_extractor_linear.aggregate_embed = torch.nn.Linear(
            text.hidden_size * states, text.hidden_size, bias=False, dtype=torch.bfloat16
        )
        return encoder

    with replaced(configurator, "from_config", classmethod(from_config)):
        yield


def _is_bound(configurator: Any) -> bool:
    return hasattr(configurator, "gemma_root")


def _config_of(root: Path) -> Any:
    from transformers import Gemma3Config

    return Gemma3Config.from_pretrained(root)


@contextmanager
def replaced(owner: object, name: str, value: object | Callable[..., object]) -> Iterator[None]:
    """Within it, `owner` itself, not what it inherits from, has `value` by that name."""
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
