"""Who is told how far a run is, and may end it: at most one observer a process, and none by default."""

from typing import Protocol


class Observer(Protocol):
    """Told of what happens, in the thread that it happens in; whatever it raises ends the run there."""

    def begun(self, model: str) -> None:
        """A model was handed out: "LTXModel"."""

    def point(self) -> None:
        """A place where a run may end: a block of a transformer, a layer of Gemma for each token."""


_observers: list[Observer] = []  # one, or none


def observe(observer: Observer | None) -> None:
    """Tell `observer` from now on, and nobody else."""
    _observers[:] = [] if observer is None else [observer]


def begun(model: str) -> None:
    for observer in _observers:
        observer.begun(model)


def point() -> None:
    for observer in _observers:
        observer.point()
