"""A rebase along upstream's real history, from its start to its first stop."""

from __future__ import annotations

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.rebase.steps import (
    abort,
    begin,
    proceed,
    status,
)
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.rebasing import Outcome, StopReason
from tests.conftest import BASE, git
from tests.rebases import (
    AFTER,
    ARGS,
    BEFORE,
    IC_LORA,
    LEDGER,
    imitation,
    private,
    published,
    repository,
    settle,
)

pytestmark = pytest.mark.history


def test_where_all_fits_the_new_base_is_written_at_once(place: Store) -> None:
    before, old = published(place), private(place)
    done = begin(place, BEFORE)
    assert done.written and not done.stopped and not done.left
    assert {item.outcome for item in done.settled} == {Outcome.STRICT}
    now = published(place)
    assert {path: now[path] for path in before if path != "pins"} == {
        path: data for path, data in before.items() if path != "pins"
    }
    assert now["pins"][1].startswith(before["pins"][1])
    assert private(place) == old
    base, origin = place.base("2026-03-05"), place.base(BASE)
    assert (base.commit, base.date, base.wheels) == (BEFORE, "2026-03-05", ())
    assert (base.loads, base.environment, base.accepts) == (
        origin.loads,
        origin.environment,
        origin.accepts,
    )
    assert [item.base for item in lint(place)] == [BASE, "2026-03-05"]
    series = place.series(base.name)
    contents = repository(place).blobs(BEFORE, series.lock.before)
    assert stages(series, series.lock.groups[-1], contents)[-1].patch == series.patches[-1]
    # Where a file is the same there, the patch is the same, byte for byte.
    old_data = {patch.data for patch in place.series(BASE).patches}
    assert any(patch.data in old_data for patch in series.patches)


def test_a_stop_tells_the_place_the_revision_and_where_the_code_went(place: Store) -> None:
    before = published(place)
    done = begin(place, AFTER[:9])
    stopped = done.stopped
    assert stopped and stopped.reason is StopReason.CONFLICT and not done.written
    assert stopped.patch == "load_the_gemma_text_encoder_quantized.patch"
    assert stopped.why.startswith("The Gemma 3 12B text encoder alone takes 22.7 GiB")
    assert {t.path for t in stopped.conflicts} == {LEDGER} == set(stopped.unmerged)
    assert all(t.gone and t.by and t.by.commit == AFTER for t in stopped.conflicts)
    (loads,) = (t for t in stopped.conflicts if any("module_ops =" in line for line in t.ours))
    assert loads.elsewhere and loads.elsewhere.path.endswith("utils/blocks.py")
    text = repository(place).blobs(AFTER, [loads.elsewhere.path])[loads.elsewhere.path]
    around = text.splitlines()[loads.elsewhere.line - 1 : loads.elsewhere.line + 20]
    assert any(b"module_ops_from_gemma_root(" in line for line in around)
    assert git(stopped.worktree, "status", "--porcelain").splitlines() == [
        "M  packages/ltx-core/src/ltx_core/text_encoders/gemma/encoders/base_encoder.py",
        f"DU {LEDGER}",
    ]
    assert published(place) == before
    assert status(place) == done


def test_a_clash_shows_both_sides_in_gits_own_form(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped and stopped.patch == "offer_the_quantized_gemma_in_every_pipeline.patch"
    (call,) = (t for t in stopped.conflicts if t.path == ARGS)
    assert "+    add_gemma_flags(parser)" in call.ours
    assert call.by and call.by.commit == AFTER
    assert "+def video_editing_arg_parser(" in call.upstream
    text = (stopped.worktree / ARGS).read_bytes()
    assert text.count(b"<<<<<<< upstream 59ca828d5a\n") == text.count(b"||||||| before the patch")
    stages_there = git(stopped.worktree, "ls-files", "-s", ARGS).splitlines()
    assert [row.split()[2] for row in stages_there] == ["1", "2", "3"]
    # Git makes the same of the index entries, up to how it cuts the lines around a clash.
    git(stopped.worktree, "checkout", "--conflict=diff3", ARGS)
    assert b"+    add_gemma_flags(parser)\n"[1:] in (stopped.worktree / ARGS).read_bytes()


def test_a_renamed_file_is_followed(place: Store) -> None:
    moved = IC_LORA.replace("ic_lora", "in_context_lora")
    (text,) = repository(place).blobs(place.base(BASE).commit, [IC_LORA]).values()
    onto = imitation(place, {IC_LORA: None, moved: b"# Moved.\n" + text})
    done = begin(place, onto)
    assert done.written and done.name == "2026-04-06"
    assert {item.outcome for item in done.settled} == {Outcome.STRICT, Outcome.THREE_WAY}
    series = place.series(done.name)
    assert moved in series.lock.before and IC_LORA not in series.lock.before
    assert moved in place.symbols(done.name)["gemma-quant"]


def test_two_rebases_at_a_time_are_told_apart_by_name(place: Store) -> None:
    begin(place, AFTER, name="one")
    begin(place, AFTER, name="two")
    with pytest.raises(UsageError, match="2 rebases are under way") as caught:
        status(place)
    assert caught.value.remedy == "name one: --name one or --name two"
    with pytest.raises(UsageError, match="no rebase to three"):
        abort(place, "three")
    with pytest.raises(ConflictError, match="a rebase to two is under way"):
        begin(place, BEFORE, name="two")
    abort(place, "one")
    assert status(place).name == "two"


@pytest.mark.parametrize(
    ("onto", "source", "name", "words"),
    [
        ("no-such-branch", None, None, "no revision of upstream"),
        ("--all", None, None, "no revision of upstream"),
        (f"{BEFORE}..main", None, None, "no revision of upstream"),
        ("ae855f85", None, None, "is the base 1.0.0 already"),
        (BEFORE, "0.9", None, 'no base "0.9"'),
        (BEFORE, None, BASE, "there is a base 1.0.0 already"),
        (BEFORE, None, "../away", "can't be the name of a base"),
        (BEFORE, None, "overlay", "can't be the name of a base"),
        (BEFORE, None, "x.lock", "can't be the name of a base"),
    ],
)
def test_a_wrong_word_is_told_and_nothing_begins(
    place: Store, onto: str, source: str | None, name: str | None, words: str
) -> None:
    before = published(place), private(place)
    with pytest.raises(UsageError, match=words):
        begin(place, onto, source=source, name=name)
    assert (published(place), private(place)) == before


def test_a_place_that_is_taken_is_not_written_over(place: Store) -> None:
    (place.patches / "2026-03-05").mkdir()
    with pytest.raises(ConflictError, match="is there already"):
        begin(place, BEFORE)
    (place.patches / "2026-03-05").rmdir()
    (place.vendor / "rebase-2026-03-05").mkdir()
    with pytest.raises(ConflictError, match="is there already"):
        begin(place, BEFORE)
