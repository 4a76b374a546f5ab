"""The only module that spells Ray: nodes, actors and its errors, as of ray 2.60."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.ray.actor import CardActor
from ltx2_service.rules.cluster_names import machine_name, namespace_of
from ltx2_service.values.settings import CARD, Cluster, Settings

_AT_ONCE = 8  # calls of an actor: one listens, the others are short
_READ_S = 30.0  # the first task on a machine starts a process there
_WARNING = 30  # logging's


class Silent(Exception):
    """An actor did not answer in time."""


class Unavailable(Exception):
    """An actor can't be reached now, and nobody knows whether it lives."""


class Died(Exception):
    """An actor is no more, or could not be made."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is to be."""

    name: str  # "render1-0", of its actor
    machine: str  # "render1"
    slot: int  # 0 for the first card
    node: str  # Ray's id, another with each start of the node


class Handle:
    """An actor of ours; its methods are CardActor's."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def ask(self, method: str, *arguments: object, wait_s: float) -> Any:
        """The answer. Raises: Silent, Unavailable, Died; OutsideError where it fails."""
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments), timeout=wait_s)
        except GetTimeoutError as error:
            raise Silent from error
        except ActorUnavailableError as error:
            raise Unavailable(_first_line(error)) from error
        except RayActorError as error:
            raise Died(_cause(error)) from error
        except RayTaskError as error:
            raise OutsideError(
                f"an actor failed: {_first_line(error.cause)}", remedy="see Ray's logs on its node"
            ) from error
        except RayError as error:
            raise Unavailable(_first_line(error)) from error

    def tell(self, method: str, *arguments: object) -> None:
        """Ask, and wait for nothing: an actor that is gone does not need it."""
        getattr(self._actor, method).remote(*arguments)

    def kill(self) -> None:
        """End it at once; its worker goes on."""
        ray.kill(self._actor, no_restart=True)


def connect(cluster: Cluster) -> None:
    """Be a driver of the cluster. Raises: OutsideError."""
    try:
        ray.init(
            address=cluster.address,
            namespace=namespace_of(cluster),
            log_to_driver=False,
            logging_level=_WARNING,
        )
    except Exception as error:  # of many kinds: RuntimeError, ConnectionError, AuthenticationError
        raise OutsideError(
            f"Ray at {cluster.address} does not let us in: {_first_line(error)}",
            remedy="this machine must be a node of it, with the same token: "
            "ltx2-patcher serve node",
        ) from error


def places(cluster: Cluster) -> list[Place]:
    """Where workers belong: a card each of the machines that the head knows to be up."""
    nodes: Sequence[Mapping[str, Any]] = ray.nodes()
    return [
        Place(f"{machine}-{slot}", machine, slot, str(node["NodeID"]))
        for node in nodes
        if node["Alive"]
        for machine in [machine_name(str(node["NodeName"]))]
        for slot in range(int(node["Resources"].get(cluster.card, 0)))
    ]


def actor_at(place: Place, settings: Settings, code: str) -> Handle:
    """The actor of that place, made where there is none. Raises: OutsideError."""
    cluster = settings.cluster
    assert cluster is not None
    own = {"num_gpus": 1} if cluster.card == CARD else {"resources": {cluster.card: 1}}
    made = ray.remote(_OnACard).options(
        **own,
        num_cpus=0,
        name=place.name,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=0,
        max_task_retries=0,  # the row decides what is tried again
        max_concurrency=_AT_ONCE,
        scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
    )
    try:
        return Handle(made.remote(settings, place.machine, place.slot, code))
    except Exception as error:  # of many kinds: of Ray, of its store, of pickling
        raise OutsideError(
            f"Ray makes no actor: {_first_line(error)}", remedy="see ray.log in the state folder"
        ) from error


def read_on(place: Place, file: Path) -> str | None:
    """The text of a file as the machine of a place sees it; None where it can't be read there."""
    there = NodeAffinitySchedulingStrategy(place.node, soft=False)
    task = ray.remote(_text_of).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    try:
        said: str | None = ray.get(task.remote(str(file)), timeout=_READ_S)
    except RayError:
        return None
    return said


def _text_of(file: str) -> str | None:
    try:
        return Path(file).read_text("utf-8")
    except OSError:
        return None


class _OnACard(CardActor):
    """A CardActor on the card that Ray gives it."""

    def __init__(self, settings: Settings, machine: str, slot: int, code: str) -> None:
        cluster = settings.cluster
        assert cluster is not None
        index = _given_card() if cluster.card == CARD else slot
        super().__init__(settings, machine, index, code)


def _given_card() -> int:
    """nvidia-smi's index. Raises: OutsideError."""
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    try:
        (index,) = map(int, given)
    except ValueError as error:
        raise OutsideError(
            f"Ray names its cards {given}, not by nvidia-smi's indices",
            remedy="start the node without CUDA_VISIBLE_DEVICES, or with numbers in it",
        ) from error
    return index


def _cause(error: RayActorError) -> str:
    """Why an actor died, in a line: where its making failed, the exception's words, the last."""
    lines = str(error).strip().splitlines()
    words = [line.partition("Error: ")[2] for line in lines if not line.startswith(" ")]
    said = [word for word in words if word]
    return said[-1] if said else _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
