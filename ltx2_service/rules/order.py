"""Which clip is made next, and on which card. Pure.

Higher priorities go first, and each sixth turn is that of the clip that waits longest, whatever
its priority: nothing waits for ever. Within a priority each owner has an equal share of the cards'
time, however many clips it asks for; an owner's own clips go in the order in which they came.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ltx2_service.values.waiting import Seat, Waiting

TURNS = 6
"""Of so many turns one is the oldest's."""

Cost = Callable[[Waiting], float]
"""Seconds of a card that a clip will take."""


def fair_order(
    waiting: Sequence[Waiting], spent: Mapping[str, float], cost: Cost, turn: int = 0
) -> tuple[Waiting, ...]:
    """All of `waiting`, in the order in which cards that become free take them.

    `spent` is the cards' seconds that each owner has had. `turn` counts the clips taken before.
    """
    by_age = deque(sorted(waiting, key=lambda job: job.number))
    levels = _levels(waiting, spent, cost)
    ordered: list[Waiting] = []
    taken: set[str] = set()
    while len(ordered) < len(waiting):
        if (turn + len(ordered)) % TURNS == TURNS - 1:
            while by_age[0].id in taken:
                by_age.popleft()
            job = by_age.popleft()
        else:
            job = next(job for job in levels if job.id not in taken)
        taken.add(job.id)
        ordered.append(job)
    return tuple(ordered)


def shares(spent: Mapping[str, float], owners: Collection[str]) -> dict[str, float]:
    """What each owner who wants something has spent. Who comes anew begins level with the least of
    those who were there: neither an idle hour nor a first clip is a credit.
    """
    least = min(spent.values(), default=0.0)
    return {owner: spent.get(owner, least) for owner in owners}


def _levels(
    waiting: Sequence[Waiting], spent: Mapping[str, float], cost: Cost
) -> Iterator[Waiting]:
    """By priority, and within one whoever has spent least."""
    used = {job.owner: spent.get(job.owner, 0.0) for job in waiting}
    for priority in sorted({job.priority for job in waiting}, reverse=True):
        own: dict[str, deque[Waiting]] = {}
        for job in sorted(waiting, key=lambda job: job.number):
            if job.priority == priority:
                own.setdefault(job.owner, deque()).append(job)
        line = [(used[owner], jobs[0].number, owner) for owner, jobs in own.items()]
        heapq.heapify(line)
        while line:
            _, _, owner = heapq.heappop(line)
            job = own[owner].popleft()
            used[owner] += cost(job)
            if own[owner]:
                heapq.heappush(line, (used[owner], own[owner][0].number, owner))
            yield job


def pair(
    order: Sequence[Waiting], seats: Sequence[Seat], bases: Mapping[str, str]
) -> tuple[tuple[Waiting, Seat], ...]:
    """Which jobs begin now, and where: no seat is left that a job could take.

    A seat that keeps its model takes the first clip of it that has the priority of the one whose
    turn it is; any other the one whose turn it is. `bases` tells each model's.
    """
    pairs: list[tuple[Waiting, Seat]] = []
    taken: set[str] = set()
    free = sorted(seats, key=lambda seat: seat.gpu)
    for seat in list(free):
        if not seat.keeps:
            continue
        able = [job for job in order if job.id not in taken and _may(job, seat)]
        same = [job for job in able if job.priority == able[0].priority and job.model in seat.warm]
        if same:
            pairs.append((same[0], seat))
            taken.add(same[0].id)
            free.remove(seat)
    for job in order:
        if not free:
            break
        able_seats = [seat for seat in free if _may(job, seat)]
        if job.id in taken or not able_seats:
            continue
        seat = min(
            able_seats,
            key=lambda seat: (
                job.model not in seat.warm,
                seat.base not in {None, bases.get(job.model)},
                len(seat.warm),
                seat.gpu,
            ),
        )
        pairs.append((job, seat))
        free.remove(seat)
    return tuple(pairs)


def _may(job: Waiting, seat: Seat) -> bool:
    return job.gpu is None or job.gpu == seat.gpu
