"""Names of tensors in a file, from their names in a model: upstream's `SDOps`, inverted."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch

from verify.synthetic.tensorfile import Shape

if TYPE_CHECKING:
    from ltx_core.loader.sd_ops import SDOps

# What upstream's loader adds when it cuts a fused projection of a diffusion VAE in three.
_FUSED = re.compile(r"(?<=\.qkv\.)to_[qkv]\.")


def file_names(ops: "SDOps | None", model_keys: Iterable[str]) -> dict[str, str]:
    """The name in the file of each of `model_keys`, from which `ops` leads back to it.

    A key that `ops` makes beside another one, as the tied `lm_head` beside the embedding, has no
    name of its own and is left out. Keys that `ops` makes by cutting one tensor, as the queries,
    keys and values of a fused projection, share its name. `None` stands for names that are the same
    on both sides.
    """
    keys = list(model_keys)
    if ops is None:
        return {key: key for key in keys}
    names = {
        key: name
        for key in keys
        if (name := next((c for c in _candidates(ops, key) if key in model_names(ops, c)), None))
    }
    reached = {key: name for name in names.values() for key in model_names(ops, name)}
    assert reached.keys() >= set(keys), f"{ops.name} leads to none of {set(keys) - reached.keys()}"
    beside = {
        key
        for named, name in names.items()
        for key in model_names(ops, name)
        if key != named and names.get(key) != name
    }
    return {key: name for key, name in names.items() if key not in beside}


def model_names(ops: "SDOps | None", name: str) -> tuple[str, ...]:
    """The keys in the model that `ops` makes of the tensor `name` of a file; often none."""
    return tuple(model_shapes(ops, name, (0,)))


def model_shapes(ops: "SDOps | None", name: str, shape: Shape) -> dict[str, Shape]:
    """Those keys, with the shapes that `ops` makes of `shape`."""
    if ops is None:
        return {name: shape}
    key = ops.apply_to_key(name)
    if key is None:
        return {}
    results = ops.apply_to_key_value(key, torch.empty(shape, device="meta"))
    return {result.new_key: tuple(result.new_value.shape) for result in results}


def _candidates(ops: "SDOps", key: str) -> Iterator[str]:
    """Possible names in the file, the most telling first.

    A replacement by some text says more than one by nothing: of the two names that lead to
    `per_channel_statistics.*` in a video VAE, checkpoints carry the first.
    """
    # Told by their fields: the classes are upstream's, and importing them costs its imports.
    replacements = [op for op in ops.mapping if hasattr(op, "replacement")]
    inner = _FUSED.sub("", key)
    for op in replacements:
        # What names no tensor by itself renames a part within a name.
        if op.replacement and ops.apply_to_key(op.content) is None:
            inner = inner.replace(op.replacement, op.content)
    for body in (inner, key) if inner != key else (key,):
        for op in replacements:
            if op.replacement and body.startswith(op.replacement):
                yield op.content + body.removeprefix(op.replacement)
        for op in replacements:
            if not op.replacement:
                yield op.content + body
        for op in ops.mapping:
            if hasattr(op, "kv_operation"):
                yield op.key_matcher.prefix + body
        yield body
