"""The tensors of the published models, by `metadata/*.tensors`, whose heads say what is inferred.

A line there is a name and a shape; `{a-b}` in a name stands for each number from a to b.
"""

import itertools
import re
from collections.abc import Iterator

from verify.synthetic.architecture import METADATA, GemmaFamily, Variant
from verify.synthetic.tensorfile import Shape, Shapes

_RANGE = re.compile(r"\{(\d+)-(\d+)\}")

# Of LTX-2.5 only the transformer's file is known, of Gemma 4 none.
_CHECKPOINT_PREFIX = {Variant.LTX_2_5: "model.diffusion_model."}
_GEMMA_LISTS = {GemmaFamily.GEMMA_3: "gemma3_12b"}


def checkpoint_differences(variant: Variant, shapes: Shapes) -> list[str]:
    """A sentence for each tensor of a checkpoint of true size that is not as published."""
    prefix = _CHECKPOINT_PREFIX.get(variant, "")
    known = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
    return _differences(variant.value, known)


def gemma_differences(family: GemmaFamily, shapes: Shapes) -> list[str]:
    """As `checkpoint_differences`, of a Gemma root."""
    return _differences(_GEMMA_LISTS[family], shapes) if family in _GEMMA_LISTS else []


def tensors(name: str) -> dict[str, Shape]:
    """What the list `name` holds."""
    lines = (METADATA / f"{name}.tensors").read_text("utf-8").splitlines()
    return dict(pair for line in lines if not line.startswith("#") for pair in _expanded(line))


def _differences(name: str, shapes: Shapes) -> list[str]:
    listed = tensors(name)
    sentences = [f"{key} is missing" for key in listed.keys() - shapes.keys()]
    sentences += [f"{key} is in no published file" for key in shapes.keys() - listed.keys()]
    sentences += [
        f"{key} is {shapes[key]}, published {listed[key]}"
        for key in shapes.keys() & listed.keys()
        if tuple(shapes[key]) != listed[key]
    ]
    return sorted(sentences)


def _expanded(line: str) -> Iterator[tuple[str, Shape]]:
    pattern, sizes = line.split(" ")
    shape = () if sizes == "-" else tuple(map(int, sizes.split("x")))
    parts = _RANGE.split(pattern)  # text, first, last, text, first, last, ..., text
    ranges = [range(int(a), int(b) + 1) for a, b in zip(parts[1::3], parts[2::3], strict=True)]
    for numbers in itertools.product(*ranges):
        name = "".join(
            text + str(number)
            for text, number in itertools.zip_longest(parts[::3], numbers, fillvalue="")
        )
        yield name, shape
