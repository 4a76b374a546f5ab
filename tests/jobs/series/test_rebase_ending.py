"""A rebase brought to its end: the new base, patches left out, an abort."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.rebase.report import SYMBOLS, RebaseStatus
from ltx2_patcher.jobs.series.rebase.steps import abort, begin, proceed, skip, status
from ltx2_patcher.rules.series.plan import patched
from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from ltx2_patcher.values.rebasing import Outcome, StopReason
from tests.conftest import BASE, git
from tests.rebases import (
    AFTER,
    ARGS,
    BEFORE,
    HELPERS,
    LEDGER,
    make_place,
    private,
    published,
    repository,
    settle,
    settle_symbols,
    to_the_end,
)

pytestmark = pytest.mark.history


_SKIPPED = ("lean", "int8")  # groups of which nothing is left on the later upstream


def to_the_symbols(place: Store) -> RebaseStatus:
    """A rebase whose patches are settled, at its last stop."""
    done = begin(place, AFTER)
    while done.stopped and done.stopped.reason is not StopReason.SYMBOLS:
        settle(done.stopped.worktree)
        try:
            done = proceed(place)
        except ConflictError:
            done = skip(place)
    return done


def test_settled_to_the_end_it_is_a_base(place: Store) -> None:
    old = private(place)
    done = to_the_end(place, begin(place, AFTER))
    assert done.written and done.kept == ()
    outcomes = {item.patch: item.outcome for item in done.settled}
    assert outcomes["load_the_gemma_text_encoder_quantized.patch"] is Outcome.BY_HAND
    assert outcomes["enhance_prompts_on_a_cpu.patch"] is Outcome.STRICT
    assert Outcome.LEFT_OUT in outcomes.values()
    names, refs = private(place)
    assert names == old[0]
    # What was settled and then skipped is not lost.
    assert [line for line in refs.splitlines() if "/kept/" not in line] == old[1].splitlines()
    new, source = (place.series(name) for name in ("2026-03-30", BASE))
    assert [p.name for p in new.patches] == [
        p.name for p in source.patches if outcomes[p.name] is not Outcome.LEFT_OUT
    ]
    words = {p.name: (p.subject, p.body, p.author, p.date) for p in source.patches}
    assert all((p.subject, p.body, p.author, p.date) == words[p.name] for p in new.patches)
    contents = repository(place).blobs(AFTER, new.lock.before)
    assert b"add_gemma_flags(parser)" in patched(new, contents)[ARGS]
    assert LEDGER not in new.lock.before


def test_a_new_base_renews_no_other(tmp_path: Path, history: Objects) -> None:
    place = make_place(tmp_path / "repository", history, BASE, "2026-01-08")
    lock = place.patches / "2026-01-08/lock.json"
    lock.write_bytes(lock.read_bytes() + b"\n")  # as no export writes it, and sound
    before = published(place)
    done = begin(place, BEFORE, source=BASE)
    assert done.written
    now = published(place)
    assert {path for path, data in now.items() if before.get(path) != data} == {
        "pins",
        *(path for path in now if path.startswith("2026-03-05/")),
    }


def test_symbols_must_be_settled_before_the_base_is_written(place: Store) -> None:
    before = published(place)
    done = to_the_symbols(place)
    assert done.stopped and not done.left
    gone = f"{LEDGER}: not touched by the series on this revision"
    moved = f"{HELPERS}: create_noised_state(), encode_prompts(enhance_prompt_image)"
    left_out, no_integers = (f"[{name}]: no patch of that group is left" for name in _SKIPPED)
    lacking, of_integers = done.stopped.lacking[:6], done.stopped.lacking[6:]
    assert lacking == (gone, left_out, gone, moved, gone, no_integers)
    assert {line.partition(":")[0] for line in of_integers} == set(place.symbols(BASE)["int8"])
    assert proceed(place).stopped == done.stopped == status(place).stopped
    with pytest.raises(UsageError, match="waits at no patch"):
        skip(place)
    (done.stopped.worktree / SYMBOLS).write_text("torn = [")
    with pytest.raises(InvalidError, match=SYMBOLS):
        proceed(place)
    assert published(place) == before
    (done.stopped.worktree / SYMBOLS).write_bytes(place.symbols_text(BASE))
    settle_symbols(place, done.stopped.worktree)
    assert proceed(place).written
    assert place.symbols("2026-03-30").keys() == place.symbols(BASE).keys() - set(_SKIPPED)


@pytest.mark.slow
def test_what_stands_in_the_new_bases_place_is_not_written_over(place: Store) -> None:
    done = to_the_symbols(place)
    assert done.stopped
    settle_symbols(place, done.stopped.worktree)
    mine = place.patches / "2026-03-30/mine.patch"
    mine.parent.mkdir()
    mine.write_text("mine\n")
    before = published(place)
    with pytest.raises(ConflictError, match="is there already"):
        proceed(place)
    assert published(place) == before
    mine.unlink()
    mine.parent.rmdir()
    assert proceed(place).written


def test_abort_restores_everything_and_keeps_what_was_settled(place: Store) -> None:
    before, (names, refs) = published(place), private(place)
    stopped = begin(place, AFTER).stopped
    assert stopped
    assert abort(place).kept == ()
    assert (published(place), private(place)) == (before, (names, refs))
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    proceed(place)
    (stopped.worktree / ARGS).write_text("# half settled\n")
    (stopped.worktree / "notes.txt").write_text("mine\n")
    (ref,) = abort(place).kept
    assert published(place) == before
    assert private(place)[0] == names
    shown = repository(place).blobs(ref, [ARGS, "notes.txt"])
    assert shown == {ARGS: b"# half settled\n", "notes.txt": b"mine\n"}
    log = git(place.vendor / "upstream.git", "log", "--format=%s", f"{AFTER}..{ref}").splitlines()
    assert log[1:] == ["Load the Gemma text encoder quantized"]
    with pytest.raises(UsageError, match="no rebase is under way"):
        abort(place)


def test_skipping_keeps_what_was_half_settled(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    (stopped.worktree / ARGS).write_text("# half settled\n")
    done = skip(place)
    (ref,) = done.kept
    assert repository(place).blobs(ref, [ARGS])[ARGS] == b"# half settled\n"
    assert done.stopped and done.settled[0].outcome is Outcome.LEFT_OUT
    assert b"half settled" not in (done.stopped.worktree / ARGS).read_bytes()


@pytest.mark.slow
def test_the_users_settings_change_no_byte(
    place: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = place.vendor / "upstream.toml"
    pinned = pins.read_bytes()
    done = to_the_end(place, begin(place, AFTER))
    plain = published(place)
    shutil.rmtree(place.patches / done.name)
    pins.write_bytes(pinned)
    settings = tmp_path / "settings"
    settings.write_text(
        "[core]\nautocrlf=true\nfsmonitor=true\nhooksPath=/nowhere\n[rerere]\nautoupdate=true\n"
        "[merge]\nconflictStyle=merge\n[commit]\ngpgSign=true\n[diff]\nnoprefix=true\n"
        "external=/bin/false\n[color]\nui=always\n[i18n]\ncommitEncoding=latin-1\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    to_the_end(place, begin(place, AFTER))
    assert published(place) == plain
