"""What serve.toml says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PORT = 6020
CARD = "GPU"  # what Ray calls a card that CUDA finds


@dataclass(frozen=True, slots=True)
class Model:
    """A model that clips can be asked of: a pipeline of a base with its files."""

    name: str  # what requests call it
    base: str  # "1.2.0"
    pipeline: str  # "distilled", "ti2vid_two_stages"
    files: Mapping[str, Path]  # option -> file: "--distilled-checkpoint-path"
    flags: tuple[str, ...] = ()  # further words for the script: "--quantization", "fp8-cast"
    vram_budget: float | Literal["auto"] = "auto"  # GiB
    host_budget: float | Literal["auto"] = "auto"  # GiB
    run_limit_s: float = 600.0  # a clip that runs longer has failed


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests may ask of the service at most."""

    queued: int = 1000  # jobs that wait
    body_bytes: int = 64 * 1024**2
    body_s: float = 120.0  # that a body may take to arrive
    picture_pixels: int = 50_000_000
    wait_s: float = 590.0  # that a blocking request is held


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster, whose cards make the clips."""

    address: str  # of its head: "10.0.0.1:6379"
    shared: Path  # folder that all its machines see at this path; clips lie below it
    token_file: Path  # what each of its machines proves itself by
    card: str = CARD  # the resource of which Ray counts one a card

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of the head."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of a service's settings."""

    models: tuple[Model, ...]
    state: Path  # folder: database, sockets, spool, uploads
    clips: Path  # folder
    host: str = "127.0.0.1"
    port: int = PORT
    gpus: tuple[int, ...] | None = (
        None  # nvidia-smi's indices; None: all. On a machine without one: (0,)
    )
    tokens: Mapping[str, str] = field(default_factory=dict)  # token -> its owner's name
    image_root: Path | None = (
        None  # below which image_path may lie; None: image2video by path is off
    )
    weights_folder: Path | None = None  # that workers share their weights in
    retain_days: float = 30.0
    logs_prompts: bool = False
    limits: Limits = Limits()
    lease_s: float = 30.0
    orphan_s: float = 600.0  # a worker that hears of no API for so long ends
    drain_s: float = 60.0  # at a stop, clips under way get so long to end
    tree: Path = Path()  # the toolkit's checkout
    cluster: Cluster | None = None  # None: workers are processes of this machine

    @property
    def shared(self) -> Path:
        """The folder where workers find pictures, and leave how attempts ended."""
        return self.state if self.cluster is None else self.cluster.shared

    def model(self, name: str | None) -> Model | None:
        """The model of that name, the first for None; None where there is no such."""
        if name is None:
            return self.models[0]
        return next((model for model in self.models if model.name == name), None)
