"""What a request runs on, and what comes of one that may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.machine import Gpu
from ltx2_patcher.rules.models.card import Card
from ltx2_patcher.rules.models.lora import LoraNames
from ltx2_patcher.rules.models.measured import Measured
from ltx2_patcher.rules.models.parked_host import HostShare
from ltx2_patcher.rules.models.parked_need import ParkedNeed
from ltx2_patcher.rules.models.pipelines import Pipeline
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.finding import Finding
from ltx2_patcher.values.request import Request
from ltx2_patcher.values.weights import Checkpoint


@dataclass(frozen=True, slots=True)
class Budget:
    """A card that a request is held to, and what was measured on such cards."""

    card: Card
    gpu: Gpu | None  # that stands in for it, or is it
    measured: tuple[Measured, ...] = ()
    may_exceed: bool = False  # more may be asked than it holds, as a search does


@dataclass(frozen=True, slots=True)
class Target:
    """What a request runs on."""

    pipeline: Pipeline
    abilities: Abilities  # of the upstream that holds the pipeline
    others: tuple[Abilities, ...]  # of the bases that a remedy may name instead
    python: Path  # of the environment
    lora_names: LoraNames  # what its loader reads
    gpus: tuple[Gpu, ...] = ()  # the script may take any; empty where there is none
    budget: Budget | None = None
    needs: tuple[ParkedNeed, ...] = ()  # of the card, where weights are parked


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may run."""

    request: Request
    checkpoint: Checkpoint | None  # the model that its files hold; None where it names none
    warnings: tuple[Finding, ...] = ()  # what can be meant, and mostly is not
    host: HostShare | None = None  # of its weights, where they are parked
