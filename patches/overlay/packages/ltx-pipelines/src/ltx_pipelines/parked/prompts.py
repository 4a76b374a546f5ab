"""A prompt that was encoded for one clip of a process is not encoded again for the next."""

import functools
import inspect
import logging
from collections.abc import Callable, Hashable, Mapping
from typing import ParamSpec

from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder
from ltx_core.parked.identity import NotKnownError, identity, of_file
from ltx_core.parked.process import store_of
from ltx_core.parked.store import Key
from ltx_core.text_encoders.gemma.embeddings_processor import EmbeddingsProcessorOutput

logger = logging.getLogger(__name__)

Given = ParamSpec("Given")
_ENCODE, _ENHANCE = ("text_encoder_builder", "embeddings_processor_builder"), "enhancer_text_encoder_builder"
"""Attributes of 1.0.0's ModelLedger; of a PromptEncoder, which came later, with a _ before."""


def encoded_once(
    encode: Callable[Given, list[EmbeddingsProcessorOutput]],
) -> Callable[Given, list[EmbeddingsProcessorOutput]]:
    """Return upstream's `encode`, which takes from the store what it made of the same prompts before.

    All prompts of a call are kept as one: upstream passes them through Gemma as one batch, whose size tells in the
    last bits. Without a store it is called as it is.
    """
    signature = inspect.signature(encode)

    @functools.wraps(encode)
    def encode_or_take(*args: Given.args, **options: Given.kwargs) -> list[EmbeddingsProcessorOutput]:
        given = signature.bind(*args, **options)
        given.apply_defaults()
        arguments = dict(given.arguments)
        owner = arguments.pop("self" if "self" in arguments else "model_ledger")
        store = store_of(_part(owner, "registry"))
        if store is None or (key := _key(owner, arguments)) is None:
            return encode(*args, **options)
        if (kept := store.outputs.copies(key)) is not None:
            logger.info("The prompts were encoded before: Gemma is not run")
            return kept
        made = encode(*args, **options)
        store.outputs.keep(key, made)
        return made

    return encode_or_take


def _key(owner: object, arguments: Mapping[str, object]) -> Hashable | None:
    """Return all that the outputs depend on; None where that can't be told."""
    enhances = bool(arguments["enhance_first_prompt"])
    names = (*_ENCODE, _ENHANCE) if enhances and _part(owner, _ENHANCE) is not None else _ENCODE
    builders = [_part(owner, name) for name in names]
    if not all(isinstance(builder, SingleGPUModelBuilder) for builder in builders):
        return None
    asked = dict(arguments) if enhances else {"prompts": arguments["prompts"]}  # else no option of it counts
    image = asked.pop("enhance_prompt_image", None)
    dtype, device = _part(owner, "dtype"), _part(owner, "device")
    try:
        models = tuple(Key.of(builder, dtype) for builder in builders)
        return models, device, identity(asked), None if image is None else of_file(image)
    except (NotKnownError, OSError):
        return None


def _part(owner: object, name: str) -> object:
    return getattr(owner, name if hasattr(owner, name) else f"_{name}", None)
