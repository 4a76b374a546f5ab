"""Look over the machine, the environment and the weights before anything is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_patcher.boundaries import disk, machine, remote
from ltx2_patcher.boundaries.bitsandbytes import probe
from ltx2_patcher.boundaries.environment import Environment, describe
from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.flags import flags_of_card, parked_weights
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.models.inspect import inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.environment.driver import runs, wheel_tag
from ltx2_patcher.rules.environment.requirements import accepts, normalized
from ltx2_patcher.rules.models.abilities import patched
from ltx2_patcher.rules.models.card import GIB
from ltx2_patcher.rules.models.mapping import refusal_of_mapping
from ltx2_patcher.rules.models.pairing import (
    refusal_of_checkpoint,
    refusal_of_encoder,
    refusal_of_gemma,
    refusal_of_pair,
)
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.rules.size import in_words
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import PatcherError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.series import Standing
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot

_NETWORK_S = 5.0
_INSTALL_BYTES = {False: 2 * GIB, True: 8 * GIB}  # an environment with torch for CPU, for CUDA
_HOST_BYTES = 15 * GIB  # of 16: 5.7 to 10.7 GiB measured while a 4-bit Gemma loads
_LARGEST_ERROR = {"4bit": 0.2, "8bit": 0.05}  # against bf16; 0.09 and 0.01 are usual


@dataclass(frozen=True, slots=True)
class Subject:
    """What to look at."""

    base: Base
    python: Path | None = None  # another environment than the base's own
    gpu: int | None = None  # by nvidia-smi's index
    checkpoint: Path | None = None
    gemma_root: Path | None = None


def examine(store: Store, subject: Subject) -> Iterator[Finding]:
    """Every finding, as it is made; a check that can't be made is a finding too."""
    yield from _programs()
    yield from _found("network", lambda: _network(subject.base))
    card: Gpu | None = None
    try:
        card = machine.gpu(subject.gpu)
        yield _gpu(card)
    except PatcherError as error:
        yield _failure("gpu", error)
    yield from _found("host memory", _host_memory)
    yield from _found("disk", lambda: _disk(store, subject, card))
    yield from _found("patches", lambda: _patches(store, subject.base))
    yield from _environment(store, subject, card)
    yield from _weights(store, subject, card)


def _found(name: str, check: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield check()
    except PatcherError as error:
        yield _failure(name, error)


def _failure(name: str, error: PatcherError) -> Finding:
    return Finding(name, Level.FAILURE, str(error), error.remedy)


def _programs() -> Iterator[Finding]:
    yield Finding("python", Level.OK, f"{sys.version.split()[0]} runs this tool")
    if version := machine.version_of("git"):
        yield Finding("git", Level.OK, version)
    else:
        yield Finding("git", Level.FAILURE, "not found", "install git and put it on the PATH")


def _network(base: Base) -> Finding:
    try:
        remote.reachable(base.url, timeout_s=_NETWORK_S)
    except PatcherError as error:
        return Finding("network", Level.WARNING, str(error), error.remedy)
    return Finding("network", Level.OK, f"{base.url} answers")


def _gpu(card: Gpu | None) -> Finding:
    if card is None:
        return Finding(
            "gpu",
            Level.WARNING,
            "none: pipelines run on the CPU, which only tiny models are small enough for",
            "use a machine with an NVIDIA card of 8 GB or more for real checkpoints",
        )
    major, minor = card.capability
    fact = (
        f"{card.index}: {card.name}, {in_words(card.total_bytes)} "
        f"({in_words(card.free_bytes)} free), compute capability {major}.{minor}, "
        f"driver {card.driver}"
    )
    if wheel_tag(card.driver, card.capability) is None:
        return Finding(
            "gpu", Level.FAILURE, f"{fact}: too old for CUDA 12", "install driver 580 or newer"
        )
    if card.capability < (8, 0):
        return Finding(
            "gpu", Level.FAILURE, f"{fact}: no bf16 below 8.0", "use an Ampere card or newer"
        )
    if card.free_bytes < card.total_bytes * 9 // 10:
        return Finding(
            "gpu", Level.WARNING, fact, "end what else uses the card, or pick another with --gpu"
        )
    return Finding("gpu", Level.OK, fact)


def _host_memory() -> Finding:
    memory = machine.memory()
    fact = f"{in_words(memory.total_bytes)}, {in_words(memory.available_bytes)} available"
    if memory.total_bytes < _HOST_BYTES:
        return Finding("host memory", Level.WARNING, fact, "16 GiB or more are comfortable")
    return Finding("host memory", Level.OK, fact)


def _disk(store: Store, subject: Subject, card: Gpu | None) -> Finding:
    free = machine.free_bytes(store.vendor)
    fact = f"{in_words(free)} free at {store.vendor}"
    needed = _INSTALL_BYTES[card is not None]
    made = environment_path(store, subject.base).exists() or subject.python is not None
    if not made and free < needed:
        return Finding(
            "disk", Level.WARNING, fact, f"free {in_words(needed)} before `make install`"
        )
    return Finding("disk", Level.OK, fact)


def _patches(store: Store, base: Base) -> Finding:
    tree = checkout_path(store, base)
    lock = store.lock(base.name)
    judgement = judge(lock, disk.blob_ids(tree, lock.paths))
    match judgement.standing:
        case Standing.PATCHED:
            return Finding("patches", Level.OK, f"{tree} is patched up to {judgement.group}")
        case Standing.EDITED:
            return Finding(
                "patches",
                Level.WARNING,
                f"{tree} has other contents than the series: {', '.join(judgement.differing)}",
                "if the edits are not yours: `git checkout` them and run `make patch`",
            )
        case Standing.UPSTREAM | Standing.MISSING:
            return Finding("patches", Level.FAILURE, f"{tree} is not patched", "run `make patch`")


def _environment(store: Store, subject: Subject, card: Gpu | None) -> Iterator[Finding]:
    python = subject.python or environment_path(store, subject.base) / "bin/python"
    if subject.python is None and not python.exists():
        yield Finding("environment", Level.FAILURE, f"{python} is not there", "run `make install`")
        return
    try:
        there = describe(python)
    except PatcherError as error:
        yield _failure("environment", error)
        return
    yield Finding("environment", Level.OK, f"{there.python}, Python {there.version}")
    installed = there.installed()
    for name in subject.base.environment:
        if finding := _distribution(
            subject.base, name, installed.get(normalized(name)), there.python
        ):
            yield finding
    if "torch" in installed:
        yield _build(there, subject.base, card)
        yield from _probe(there, card, chosen=subject.gpu is not None)


def _distribution(base: Base, name: str, version: str | None, python: Path) -> Finding | None:
    """A finding for what decides, and for what is missing; the rest is not worth a line."""
    remedy = f"run `ltx2-patcher install --python {python}`, or `make install`"
    if version is None:
        return Finding(name, Level.FAILURE, "not installed", remedy)
    if not accepts(base, name, version):
        fact = f"{version}; base {base.name} needs {base.accepts[name]}"
        return Finding(name, Level.FAILURE, fact, f"install {name}=={base.environment[name]} there")
    return Finding(name, Level.OK, version) if name in _DECIDING else None


_DECIDING = ("torch", "transformers", "bitsandbytes")


def _build(there: Environment, base: Base, card: Gpu | None) -> Finding:
    build = there.torch_build() or "cpu"
    name = "torch build"
    if card is None:
        return Finding(name, Level.OK, build if build == "cpu" else f"CUDA {build}")
    tag = wheel_tag(card.driver, card.capability)
    remedy = (
        f"uv pip install --python {there.python} --reinstall --torch-backend={tag} "
        f"torch=={base.environment['torch']}"
    )
    if build == "cpu":
        return Finding(name, Level.FAILURE, f"CPU only, beside {card.name}", remedy)
    if not runs(card.driver, build):
        fact = f"CUDA {build}, for which driver {card.driver} is too old"
        return Finding(name, Level.FAILURE, fact, f"install driver 580 or newer, or: {remedy}")
    return Finding(name, Level.OK, f"CUDA {build} on driver {card.driver}")


def _probe(there: Environment, card: Gpu | None, *, chosen: bool) -> Iterator[Finding]:
    try:
        probed = probe(there, card.variables if card and chosen else {})
    except PatcherError as error:
        yield _failure("bitsandbytes at work", error)
        return
    if card is not None and not probed.cuda:
        yield Finding(
            "torch at work",
            Level.FAILURE,
            f"torch does not see {card.name}",
            "see `torch build` above; in a container, start it with the GPU passed in",
        )
    for name, words in probed.failures.items():
        yield Finding(
            f"{name} at work",
            Level.FAILURE,
            words.splitlines()[0] if words else "failed",
            "run `make install` again, or install another bitsandbytes",
        )
    for name, off_by in probed.errors.items():
        fact = f"relative error {off_by:.3f} on {probed.device}"
        if off_by < _LARGEST_ERROR[name]:
            yield Finding(f"{name} at work", Level.OK, fact)
        else:
            yield Finding(
                f"{name} at work",
                Level.FAILURE,
                f"{fact}: wrong",
                "install the pinned bitsandbytes: `make install`",
            )


def _weights(store: Store, subject: Subject, card: Gpu | None) -> Iterator[Finding]:
    checkpoint = gemma = None
    others = tuple(map(patched, store.bases()))
    if subject.checkpoint is not None:
        try:
            checkpoint = inspect_checkpoint(subject.checkpoint)
            name = str(subject.checkpoint)
            refusal = refusal_of_checkpoint(
                checkpoint, patched(subject.base), others, name
            ) or refusal_of_mapping(checkpoint.bytes, machine.mappable_bytes(), name)
            yield _failure("checkpoint", refusal) if refusal else _checkpoint(checkpoint)
        except PatcherError as error:
            yield _failure("checkpoint", error)
    if subject.gemma_root is not None:
        try:
            gemma = inspect_gemma(subject.gemma_root)
            yield _gemma(patched(subject.base), others, gemma, str(subject.gemma_root))
        except PatcherError as error:
            yield _failure("gemma", error)
    if checkpoint and gemma:
        refusal = refusal_of_pair(checkpoint, gemma)
        yield (
            _failure("pair", refusal)
            if refusal
            else Finding("pair", Level.OK, "the checkpoint takes what this Gemma gives")
        )
    if card is not None and (checkpoint or gemma):
        base = subject.base
        yield from _found("flags", lambda: flags_of_card(store, base, card, checkpoint, gemma))
        if checkpoint:
            yield from _found(
                "parked weights", lambda: parked_weights(store, base, card, checkpoint, gemma)
            )


def _checkpoint(checkpoint: Checkpoint) -> Finding:
    alone = "" if checkpoint.whole else ", the transformer alone"
    fact = f"{checkpoint.name}{alone}, {checkpoint.precision}, {in_words(checkpoint.bytes)}"
    return Finding("checkpoint", Level.OK, fact)


def _gemma(able: Abilities, others: Sequence[Abilities], gemma: GemmaRoot, root: str) -> Finding:
    unable = refusal_of_encoder(gemma, root)
    if refusal := unable or refusal_of_gemma(gemma, None, able, others, root):
        failure = _failure("gemma", refusal)
        mended = not (unable or refusal_of_gemma(gemma, "4bit", able, others, root))
        # What a flag mends is no failure of the files.
        return replace(failure, level=Level.WARNING) if mended else failure
    kind = f"{gemma.quantization} ({gemma.detail})" if gemma.quantization else gemma.detail
    files = "one file" if gemma.packed else f"{gemma.shards} shards"
    return Finding("gemma", Level.OK, f"{gemma.name}, {kind}, {in_words(gemma.bytes)} in {files}")
