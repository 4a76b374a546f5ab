"""Weights that stay in host memory and pass through the card while they are used.

    process   what this process asked for: what upstream's modules call
    store     models once built are handed out again
    model     one parked model: what passes, what comes when called, what comes at once
    passing   blocks in a row, through a ring of buffers; plan says which are kept
    turns     which model is likely next, and its first weights on their way
    unit      tensors that move together; layout says where, places who holds them, reading brings them from files
    loading   how a model is first built, on the host; making is where what that makes lies meanwhile
    outputs   what models made of prompts, for whoever gives the same again
    observer  who is told how far a run is, and may end it
    identity  what a built model depends on
    copies    files that hold the weights of parked models, for several processes or for later; shelves says where
    recipe    what a model is built from once more whose weights lie in a copy
    host, card  memory of either side; card alone knows streams; mapping maps files

A program gives `registry=ltx_core.parked.store.WeightStore(...)`, or calls `park_weights` once.
"""

from ltx_core.parked.model import released
from ltx_core.parked.process import (
    is_at_work,
    memory_for_decoding,
    park_weights,
    parked_model,
    take_out_parked_weights,
)

__all__ = [
    "is_at_work",
    "memory_for_decoding",
    "park_weights",
    "parked_model",
    "released",
    "take_out_parked_weights",
]
