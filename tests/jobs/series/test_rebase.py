"""The series carried along upstream's real history, conflicts settled as a person settles them."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import NewCommit, Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.rebase.steps import (
    SYMBOLS,
    Progress,
    abort,
    begin,
    proceed,
    skip,
    standing,
)
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited, merge
from ltx2_patcher.rules.series.plan import patched, stages
from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from ltx2_patcher.values.rebasing import Outcome, Reason
from tests.conftest import BASE, git
from tests.rebases import (
    AFTER,
    ARGS,
    BEFORE,
    LEDGER,
    make_place,
    private,
    published,
    settle,
    settle_symbols,
    to_the_end,
    tool,
)

pytestmark = pytest.mark.history
IC_LORA = "packages/ltx-pipelines/src/ltx_pipelines/ic_lora.py"


@pytest.fixture
def place(tmp_path: Path, history: Objects) -> Store:
    return make_place(tmp_path / "repository", history)


def repository(place: Store) -> Objects:
    return Objects(place.vendor / "upstream.git")


def imitation(place: Store, files: dict[str, bytes | None]) -> str:
    """A revision after 1.0.0 that upstream's history lacks."""
    history, base = repository(place), place.base(BASE)
    date = "Mon, 06 Apr 2026 12:00:00 +0000"
    commit = NewCommit(b"An imitated revision\n", "A <a@example.invalid>", date, files)
    (made,) = history.build(base.commit, [commit])
    history.move_ref("refs/heads/imitation", made, expect="0" * 40)
    return made


def to_the_symbols(place: Store) -> Progress:
    """A rebase whose patches are settled, at its last stop."""
    done = begin(place, AFTER)
    while done.stopped and done.stopped.reason is not Reason.SYMBOLS:
        settle(done.stopped.worktree)
        try:
            done = proceed(place)
        except ConflictError:
            done = skip(place)
    return done


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


def test_a_stop_tells_the_place_the_revision_and_where_the_code_went(place: Store) -> None:
    before = published(place)
    done = begin(place, AFTER[:9])
    stopped = done.stopped
    assert stopped and stopped.reason is Reason.CONFLICT and not done.written
    assert stopped.patch == "load_the_gemma_text_encoder_quantized.patch"
    assert stopped.why.startswith("The Gemma 3 12B text encoder alone takes 22.7 GiB")
    assert {t.path for t in stopped.troubles} == {LEDGER} == set(stopped.unmerged)
    assert all(t.gone and t.by and t.by.commit == AFTER for t in stopped.troubles)
    (loads,) = (t for t in stopped.troubles if any("module_ops =" in line for line in t.ours))
    assert loads.elsewhere and loads.elsewhere.path.endswith("utils/blocks.py")
    text = repository(place).blobs(AFTER, [loads.elsewhere.path])[loads.elsewhere.path]
    around = text.splitlines()[loads.elsewhere.line - 1 : loads.elsewhere.line + 20]
    assert any(b"module_ops_from_gemma_root(" in line for line in around)
    assert git(stopped.worktree, "status", "--porcelain").splitlines() == [
        "M  packages/ltx-core/src/ltx_core/text_encoders/gemma/encoders/base_encoder.py",
        f"DU {LEDGER}",
    ]
    assert published(place) == before
    assert standing(place) == done


def test_a_clash_shows_both_sides_in_gits_own_form(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped and stopped.patch == "offer_the_quantized_gemma_in_every_pipeline.patch"
    (call,) = (t for t in stopped.troubles if t.path == ARGS)
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


def test_symbols_must_be_settled_before_the_base_is_written(place: Store) -> None:
    before = published(place)
    done = to_the_symbols(place)
    assert done.stopped and not done.left
    gone = f"{LEDGER}: not touched by the series on this revision"
    assert done.stopped.lacking == (gone, "[lean]: no patch of that group is left", gone)
    assert proceed(place).stopped == done.stopped == standing(place).stopped
    with pytest.raises(UsageError, match="waits at no patch"):
        skip(place)
    (done.stopped.worktree / SYMBOLS).write_text("torn = [")
    with pytest.raises(InvalidError, match=SYMBOLS):
        proceed(place)
    assert published(place) == before
    (done.stopped.worktree / SYMBOLS).write_bytes(place.symbols_text(BASE))
    settle_symbols(place, done.stopped.worktree)
    assert proceed(place).written
    assert place.symbols("2026-03-30").keys() == place.symbols(BASE).keys() - {"lean"}


def _leave_unmerged(tree: Path) -> str:
    return "not settled yet"


def _leave_markers(tree: Path) -> str:
    git(tree, "add", "-A")
    return "conflict markers are left"


def _edit_after_adding(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).write_text("# more\n")
    return "edited but not added"


def _edit_outside(tree: Path) -> str:
    settle(tree)
    (tree / "README.md").write_text("mine\n")
    git(tree, "add", "README.md")
    return "README.md can't be in a patch"


def _add_a_file(tree: Path) -> str:
    settle(tree)
    path = "packages/ltx-core/src/ltx_core/new.py"
    (tree / path).write_text("X = 1\n")
    git(tree, "add", path)
    return "adds or removes none"


def _remove_a_file(tree: Path) -> str:
    settle(tree)
    git(tree, "rm", "-q", "-f", ARGS)
    return "adds or removes none"


def _change_a_mode(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).chmod(0o755)
    git(tree, "add", ARGS)
    return "can't be in a patch"


def _break_the_python(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).write_text("def (:\n")
    git(tree, "add", ARGS)
    return "no Python any more"


def _commit(tree: Path) -> str:
    settle(tree)
    git(tree, "commit", "-q", "-m", "mine")
    return "HEAD of .* was moved"


def _take_all_back(tree: Path) -> str:
    git(tree, "checkout", "-q", "-f", "HEAD", "--", ".")
    return "nothing is left of offer_the"


@pytest.mark.parametrize(
    "deed",
    [
        _leave_unmerged,
        _leave_markers,
        _edit_after_adding,
        _edit_outside,
        _add_a_file,
        _remove_a_file,
        _change_a_mode,
        _break_the_python,
        _commit,
        _take_all_back,
    ],
)
def test_what_is_not_settled_is_refused_and_stays(place: Store, deed: object) -> None:
    assert callable(deed)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    proceed(place)
    words = deed(stopped.worktree)
    status = git(stopped.worktree, "status", "--porcelain=v2")
    refs = private(place)
    with pytest.raises(ConflictError, match=words):
        proceed(place)
    assert git(stopped.worktree, "status", "--porcelain=v2") == status
    assert private(place) == refs


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


def test_a_resolution_is_remembered_shown_and_not_taken_by_itself(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped and stopped.reused == ()
    settle(stopped.worktree)
    settled = (stopped.worktree / ARGS).read_bytes()
    proceed(place)
    abort(place)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped
    (reuse,) = (item for item in stopped.reused if item.path == ARGS)
    assert "+    add_gemma_flags(parser)" in reuse.change
    assert (stopped.worktree / ARGS).read_bytes() == settled
    assert ARGS in stopped.unmerged
    with pytest.raises(ConflictError, match="not settled yet"):
        proceed(place)
    settle(stopped.worktree)
    assert proceed(place).settled[1].outcome is Outcome.BY_HAND


def test_a_settlement_in_another_file_is_offered_after_an_abort(place: Store) -> None:
    """rerere knows nothing of it: the conflict was in a file that is gone."""
    stopped = begin(place, AFTER).stopped
    assert stopped and stopped.earlier is None
    (loads,) = (t for t in stopped.troubles if any("module_ops =" in line for line in t.ours))
    assert loads.elsewhere
    moved = stopped.worktree / loads.elsewhere.path
    moved.write_text("# Where the code of ours went\n" + moved.read_text())
    git(stopped.worktree, "add", loads.elsewhere.path)
    settle(stopped.worktree)
    proceed(place)
    abort(place)
    said = tool(place.root, "rebase", "--onto", AFTER)
    stopped = standing(place).stopped
    assert stopped and stopped.earlier and not stopped.reused
    assert loads.elsewhere.path in stopped.earlier.paths
    shown, taken = (
        line.partition(": ")[2]
        for line in said.stdout.splitlines()
        if stopped.earlier.commit[:12] in line
    )
    assert "+# Where the code of ours went" in git(stopped.worktree, *shown.split()[1:])
    assert "Where the code" not in (stopped.worktree / loads.elsewhere.path).read_text()
    git(stopped.worktree, *taken.split()[1:])
    git(stopped.worktree, "rm", "-q", LEDGER)
    done = proceed(place)
    assert done.settled[0].outcome is Outcome.BY_HAND
    tip = git(
        place.vendor / "upstream.git", "rev-parse", f"refs/ltx2-patcher/rebase/{done.name}/tip"
    )
    trees = [
        git(place.vendor / "upstream.git", "rev-parse", f"{c}^{{tree}}")
        for c in (tip, stopped.earlier.commit)
    ]
    assert trees[0] == trees[1]
    abort(place)
    other = begin(place, "main", source=BASE, name="other").stopped
    assert other and other.patch == stopped.patch and other.earlier is None


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


def test_what_merges_into_no_python_is_handed_over(place: Store) -> None:
    (text,) = repository(place).blobs(place.base(BASE).commit, [IC_LORA]).values()
    onto = imitation(place, {IC_LORA: b"def (:\n" + text})
    stopped = begin(place, onto).stopped
    assert stopped and stopped.patch == "offer_the_quantized_gemma_in_every_pipeline.patch"
    assert (stopped.troubles, stopped.unmerged) == ((), ())
    assert stopped.unparsed == (IC_LORA,)
    with pytest.raises(ConflictError, match="no Python any more"):
        proceed(place)
    path = stopped.worktree / IC_LORA
    path.write_bytes(path.read_bytes().removeprefix(b"def (:\n"))
    git(stopped.worktree, "add", IC_LORA)
    done = proceed(place)
    assert done.written and done.settled[1].outcome is Outcome.BY_HAND


def test_what_landed_may_be_kept_with_what_it_must_still_change(place: Store) -> None:
    series, base = place.series(BASE), place.base(BASE)
    contents = repository(place).blobs(base.commit, series.lock.before)
    first = stages(series, series.lock.groups[-1], contents)[1]
    stopped = begin(place, imitation(place, dict(first.files))).stopped
    assert stopped and stopped.reason is Reason.LANDED and stopped.patch == series.patches[0].name
    path = stopped.worktree / LEDGER
    path.write_bytes(path.read_bytes() + b"# and more\n")
    git(stopped.worktree, "add", LEDGER)
    done = proceed(place)
    assert done.written and done.settled[0].outcome is Outcome.BY_HAND
    assert place.series(done.name).patches[0].diffs[0].path == LEDGER


def test_what_landed_is_offered_for_retirement_and_never_dropped_by_itself(place: Store) -> None:
    series = place.series(BASE)
    fourth = series.patches[3]
    base = place.base(BASE)
    contents = repository(place).blobs(base.commit, series.lock.before)
    made = dict(stages(series, series.lock.groups[-1], contents)[4].files)
    assert stages(series, series.lock.groups[-1], contents)[4].patch == fourth
    # Upstream took it over alone: what the patches before it do to those files is not there.
    before = patched_before(place, 3)
    taken: dict[str, bytes | None] = {}
    for path, text in made.items():
        own, back = line_diffs([(before[path], text), (before[path], contents[path])])
        lines = merge(split_lines(before[path]), own, back).ours
        taken[path] = b"".join(edited(split_lines(contents[path]), lines))
    onto = imitation(place, taken)
    done = begin(place, onto)
    assert done.stopped and done.stopped.reason is Reason.LANDED
    assert done.stopped.patch == fourth.name
    assert done.stopped.landing and done.stopped.landing.by
    assert done.stopped.landing.by.commit == onto
    assert {spot.path for spot in done.stopped.landing.places} <= set(made)
    with pytest.raises(ConflictError, match="nothing is left"):
        proceed(place)
    done = skip(place)
    assert done.settled[3].outcome is Outcome.RETIRED
    assert done.written
    assert fourth.name not in {p.name for p in place.series(done.name).patches}


def patched_before(place: Store, count: int) -> dict[str, bytes]:
    series = place.series(BASE)
    now = repository(place).blobs(place.base(BASE).commit, series.lock.before)
    for stage in stages(series, series.lock.groups[-1], now)[1 : count + 1]:
        now = {**now, **stage.files}
    return now


def test_two_rebases_at_a_time_are_told_apart_by_name(place: Store) -> None:
    begin(place, AFTER, name="one")
    begin(place, AFTER, name="two")
    with pytest.raises(UsageError, match="2 rebases are under way") as caught:
        standing(place)
    assert caught.value.remedy == "name one: --name one or --name two"
    with pytest.raises(UsageError, match="no rebase to three"):
        abort(place, "three")
    with pytest.raises(ConflictError, match="a rebase to two is under way"):
        begin(place, BEFORE, name="two")
    abort(place, "one")
    assert standing(place).name == "two"


@pytest.mark.parametrize(
    ("onto", "source", "name", "words"),
    [
        ("no-such-branch", None, None, "no revision of upstream"),
        ("--all", None, None, "no revision of upstream"),
        (f"{BEFORE}..main", None, None, "no revision of upstream"),
        ("ae855f85", None, None, "is the base 1.0.0 already"),
        (BEFORE, "0.9", None, "no base '0.9'"),
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


def test_a_series_that_changed_meanwhile_stops_it(place: Store) -> None:
    begin(place, AFTER)
    whole = place.patches.parent / "whole"
    shutil.copytree(place.patches, whole)
    shutil.rmtree(place.patches / BASE)
    shutil.copytree(place.patches.parent / "whole" / BASE, place.patches / BASE)
    lock = place.patches / BASE / "lock.json"
    name = next(path.name for path in (place.patches / BASE).glob("*.patch"))
    text = (place.patches / BASE / name).read_bytes()
    (place.patches / BASE / name).write_bytes(text.replace(b"It can go", b"Indeed. It can go"))
    new = sha256((place.patches / BASE / name).read_bytes()).hexdigest()
    lock.write_text(lock.read_text().replace(sha256(text).hexdigest(), new))
    with pytest.raises(ConflictError, match="not what it was when the rebase began"):
        proceed(place)
    assert abort(place).kept == ()


def test_a_worktree_that_was_removed_is_laid_again(place: Store) -> None:
    first = begin(place, AFTER).stopped
    assert first
    shutil.rmtree(first.worktree)
    assert standing(place).stopped is None
    assert proceed(place).stopped == first


def test_a_repository_that_was_moved_goes_on(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    root = place.patches.parent
    moved = Store(root.rename(root.with_name("moved")))
    assert proceed(moved).settled[0].outcome is Outcome.BY_HAND


def test_a_repository_in_a_folder_whose_name_is_no_text(tmp_path: Path, history: Objects) -> None:
    place = make_place(tmp_path / os.fsdecode(b"repository \xff"), history)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    assert proceed(place).settled[0].outcome is Outcome.BY_HAND
    assert abort(place).kept


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


def test_the_command_line_says_what_to_type(place: Store) -> None:
    root = place.patches.parent
    began = tool(root, "rebase", "--onto", AFTER)
    assert began.returncode == 3 and began.stderr == ""
    count = len(place.series(BASE).patches)
    assert f"stopped at 1 of {count}: load_the_gemma_text_encoder_quantized.patch" in began.stdout
    assert f"{LEDGER} is gone in 59ca828d5a (2026-03-30); our hunks:" in began.stdout
    assert f"git rm -q {LEDGER}" in began.stdout
    alone = tool(root, "rebase")
    assert (alone.returncode, alone.stdout) == (0, began.stdout)
    assert '"reason": "conflict"' in tool(root, "rebase", "--json").stdout
    refused = tool(root, "rebase", "--continue")
    assert refused.returncode == 3 and "not settled yet" in refused.stderr
    assert tool(root, "rebase", "--abort").returncode == 0
    none = tool(root, "rebase", "--continue")
    assert none.returncode == 2 and "rebase --onto REF" in none.stderr
    assert tool(root, "rebase", "--from", BASE).returncode == 2
    fits = tool(root, "rebase", "--onto", BEFORE)
    assert fits.returncode == 0 and "left for you:" in fits.stdout
