from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.order import TURNS, fair_order, pair, shares
from ltx2_service.values.waiting import Seat, Waiting

BASES = {"fast": "1.0.0", "fine": "1.0.0", "other": "1.2.0"}


@st.composite
def lines(draw: st.DrawFn) -> list[Waiting]:
    return [
        Waiting(
            f"job{number}",
            number,
            draw(st.sampled_from("abc")),
            draw(st.integers(-1, 1)),
            draw(st.sampled_from([None, None, 0, 1])),
            draw(st.sampled_from(list(BASES))),
            draw(st.integers(1, 50)),
        )
        for number in range(draw(st.integers(0, 20)))
    ]


@st.composite
def seats(draw: st.DrawFn) -> list[Seat]:
    return [
        Seat(
            f"gpu{gpu}",
            gpu,
            draw(st.sampled_from([None, "1.0.0", "1.2.0"])),
            tuple(draw(st.sets(st.sampled_from(list(BASES))))),
            draw(st.booleans()),
        )
        for gpu in sorted(draw(st.sets(st.integers(0, 3))))
    ]


def tokens(job: Waiting) -> float:
    return float(job.tokens)


def one(number: int, owner: str = "a", **other: object) -> Waiting:
    fields = {"priority": 0, "gpu": None, "model": "fast", "tokens": 1} | other
    return Waiting(f"job{number}", number, owner, **fields)  # type: ignore[arg-type]


@given(lines(), st.dictionaries(st.sampled_from("abc"), st.floats(0, 100)), st.integers(0, 10))
def test_everyone_stands_in_line_once(
    line: list[Waiting], spent: dict[str, float], turn: int
) -> None:
    order = fair_order(line, spent, tokens, turn)
    assert sorted(order, key=lambda job: job.number) == line
    assert order == fair_order(line[::-1], spent, tokens, turn)


@given(lines(), st.integers(0, 10))
def test_the_oldest_goes_within_a_round_whatever_its_priority(
    line: list[Waiting], turn: int
) -> None:
    for place, job in enumerate(fair_order(line, {}, tokens, turn)):
        older = [other for other in line if other.number < job.number]
        assert place < TURNS * (len(older) + 1)


@given(lines(), st.integers(0, 10))
def test_but_for_the_oldest_turns_higher_priorities_go_first(
    line: list[Waiting], turn: int
) -> None:
    order = fair_order(line, {}, tokens, turn)
    regular = [job for at, job in enumerate(order) if (turn + at) % TURNS != TURNS - 1]
    assert [job.priority for job in regular] == sorted((j.priority for j in regular), reverse=True)
    for owner in "abc":
        own = [job for job in regular if job.owner == owner]
        assert own == sorted(own, key=lambda job: (-job.priority, job.number))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30))
def test_two_owners_share_the_cards_however_many_clips_one_asks_for(
    many: int, few: int, size: int
) -> None:
    line = [one(at, "many", tokens=size) for at in range(many)]
    line += [one(1000 + at, "few") for at in range(few)]
    order = fair_order(line, {}, tokens)
    both = order[: next(at for at in range(len(order) + 1) if _one_is_through(order[:at], line))]
    used: Counter[str] = Counter()
    for at, job in enumerate(both):
        if at % TURNS != TURNS - 1:  # the oldest's turn belongs to age alone
            used[job.owner] += job.tokens
    olds = [job.tokens for at, job in enumerate(both) if at % TURNS == TURNS - 1]
    assert abs(used["many"] - used["few"]) <= size + 1 + sum(olds)


def _one_is_through(done: tuple[Waiting, ...], line: list[Waiting]) -> bool:
    left = {job.owner for job in line if job not in done}
    return len(left) < 2


@given(st.dictionaries(st.text(max_size=2), st.floats(0, 1e6)), st.sets(st.text(max_size=2)))
def test_who_comes_anew_has_no_credit(spent: dict[str, float], owners: set[str]) -> None:
    found = shares(spent, owners)
    assert found.keys() == owners
    for owner in owners:
        assert found[owner] == (spent[owner] if owner in spent else min(spent.values(), default=0))


@given(lines(), seats())
def test_each_seat_and_each_job_is_taken_once_and_no_seat_is_left(
    line: list[Waiting], free: list[Seat]
) -> None:
    order = fair_order(line, {}, tokens)
    pairs = pair(order, free, BASES)
    jobs = [job.id for job, _ in pairs]
    taken = [seat.worker for _, seat in pairs]
    assert len(set(jobs)) == len(jobs) and len(set(taken)) == len(taken)
    assert all(job.gpu in {None, seat.gpu} for job, seat in pairs)
    for seat in free:
        if seat.worker not in taken:
            assert not [j for j in line if j.id not in jobs and j.gpu in {None, seat.gpu}]


@given(lines(), seats())
def test_a_seat_that_keeps_nothing_takes_whose_turn_it_is(
    line: list[Waiting], free: list[Seat]
) -> None:
    order = fair_order(line, {}, tokens)
    loose = [Seat(seat.worker, seat.gpu, seat.base, seat.warm) for seat in free]
    pairs = pair(order, loose, BASES)
    able = [job for job in order if any(job.gpu in {None, seat.gpu} for seat in free)]
    if able:
        assert pairs[0][0] == able[0]


def test_a_seat_goes_on_with_its_model_but_not_over_a_higher_priority() -> None:
    warm = Seat("gpu0", 0, "1.0.0", ("fine",), keeps=True)
    first, second, urgent = one(0), one(1, model="fine"), one(2, priority=1)
    assert pair((first, second), [warm], BASES) == ((second, warm),)
    assert pair((urgent, first, second), [warm], BASES) == ((urgent, warm),)
    let = Seat("gpu0", 0, "1.0.0", ("fine",))
    assert pair((first, second), [let], BASES) == ((first, let),)


def test_a_job_takes_the_card_that_has_its_model_or_at_least_its_base() -> None:
    empty, fine = Seat("gpu0", 0, None, ()), Seat("gpu1", 1, "1.0.0", ("fine",))
    other = Seat("gpu2", 2, "1.2.0", ("other",))
    job = one(0, model="fine")
    assert pair((job,), [empty, fine, other], BASES) == ((job, fine),)
    assert pair((job,), [empty, other], BASES) == ((job, empty),)
    assert pair((one(0, model="fast"),), [other, fine], BASES)[0][1] == fine
