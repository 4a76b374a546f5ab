"""The drift matrix on upstream's real history, and on a small one for what that lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.history import history as small_history
from ltx2_patcher.jobs.series.matrix import Matrix, check, matrix, write
from ltx2_patcher.rules.series.drift import lock_on
from ltx2_patcher.rules.series.three_way import How
from ltx2_patcher.values.errors import (
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from tests.conftest import git
from tests.small_upstream import MODULE, REVISIONS, SmallUpstream, pin


@pytest.fixture(scope="module")
def made(store: Store, history: Objects) -> Matrix:
    return matrix(store, history)


@pytest.mark.history
def test_the_revisions_are_those_that_hold_code(made: Matrix) -> None:
    assert len(made.rows) >= 26
    assert made.rows[-1].revision.commit.startswith("5cb97a9f07")
    dates = [row.revision.date for row in made.rows]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.history
def test_each_base_serves_its_own_commit_strictly(made: Matrix) -> None:
    rows = {row.revision.commit: row for row in made.rows}
    for base in made.bases:
        supported = rows[base.commit].support
        assert supported is not None
        assert (supported.base, supported.how) == (base.name, How.STRICT)


@pytest.mark.history
def test_what_is_recorded_as_supported_is(store: Store, made: Matrix) -> None:
    recorded = check(store, made, whole=True)
    assert {base.commit for base in made.bases} <= {one.commit for one in recorded}
    assert recorded == store.supported()


@pytest.mark.history
def test_git_merges_what_is_supported_to_the_same_contents(
    store: Store, history: Objects, made: Matrix, tmp_path: Path
) -> None:
    """Every supported revision, patch by patch through `git apply --3way` in an index."""
    env = os.environ | {"GIT_DIR": str(history.place), "GIT_INDEX_FILE": str(tmp_path / "index")}

    def run(*arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["git", *arguments], env=env, input=stdin, capture_output=True, check=True
        )
        return done.stdout

    for row in made.rows:
        supported = row.support
        if supported is None:
            continue
        series = store.series(supported.base)
        run("read-tree", row.revision.commit)
        for fit in supported.fits:
            if fit.how is not How.LANDED:
                run("apply", "--cached", "--3way", "-", stdin=fit.patch.data)
        commit = row.revision.commit
        blobs = history.blob_ids([commit], list(series.lock.before))[commit]
        texts = history.contents(blobs.values())
        tree = {path: texts[blob] for path, blob in blobs.items()}
        last = lock_on(series, supported, commit, tree).after[series.lock.groups[-1]]
        entries = (entry.partition(b"\t") for entry in run("ls-files", "-sz").split(b"\0")[:-1])
        staged = {path.decode(): info.split()[1].decode() for info, _, path in entries}
        assert {p: staged[p] for p in blobs} == {p: last[p] for p in blobs}, commit


@pytest.mark.history
def test_a_patch_breaks_first_where_it_did_not_fit_any_more(made: Matrix) -> None:
    commits = [row.revision.commit for row in made.rows]
    homes = {base.name: base.commit for base in made.bases}
    assert made.breaks
    for one in made.breaks:
        home, there = commits.index(homes[one.base]), commits.index(one.revision.commit)
        step = -1 if one.side == "newer" else 1
        for at in range(home, there + step, step):
            hows = {f.patch.name: f.how for f in made.rows[at].laid[one.base].fits}
            assert (hows[one.patch.name] is How.MISFIT) == (at == there)
        assert one.breaches


@pytest.mark.history
def test_ranges_refs_and_names_of_bases(store: Store, history: Objects, made: Matrix) -> None:
    commits = [row.revision.commit for row in made.rows]
    pin = store.base("1.0.0").commit
    at = commits.index(pin)

    def asked(*wanted: str) -> list[str]:
        return [row.revision.commit for row in matrix(store, history, wanted).rows]

    assert asked("1.0.0..main") == commits[:at]
    assert asked("1.0.0", f"{pin[:10]}~1") == commits[at : at + 2]
    assert asked("main~2", "main~2..main") == commits[:3]
    assert len(asked("main")) > len(commits) - 1
    tag = history.resolve("v1.2.0")
    assert tag and tag not in commits  # on a release branch
    released = matrix(store, history, ["v1.2.0", "release/v1.2.0"])
    assert [row.revision.commit for row in released.rows] == [tag]
    assert released.rows[0].support and released.rows[0].support.base == "1.2.0"
    for wrong in ("no-such-ref", "--all", "main..1.0.0", ""):
        with pytest.raises(UsageError):
            asked(wrong)


def states(made: Matrix) -> dict[str, list[str]]:
    return {
        row.revision.subject: [fit.how.value for fit in row.laid["small"].fits] for row in made.rows
    }


def test_what_the_real_history_lacks(small: SmallUpstream) -> None:
    made = matrix(small.store, small_history(small.store))
    assert [row.revision.subject for row in made.rows] == list(REVISIONS)[:0:-1]
    rows = {row.revision.subject: row for row in made.rows}
    supported = {name: row.support.how.value for name, row in rows.items() if row.support}
    assert supported == {"base": "strict", "merges": "3-way", "landed": "3-way"}
    assert states(made)["landed"] == ["strict", "landed", "strict"]
    assert states(made)["moved"] == ["does not fit", "does not fit", "strict"]
    faults = {name: row.laid["small"].faults for name, row in rows.items()}
    assert "lacks spare" in faults["lost symbol"][0]
    assert "does not parse" in faults["does not parse"][0]
    assert "a file of its own" in faults["taken"][0]
    (newer,) = (one for one in made.breaks if one.patch.name == "load_quantized.patch")
    assert (newer.side, newer.revision.subject) == ("newer", "breaks")


def test_a_lost_revision_fails_the_check_and_a_new_one_does_not(small: SmallUpstream) -> None:
    past = small_history(small.store)
    with pytest.raises(InvalidError, match="supported.json"):
        check(small.store, matrix(small.store, past), whole=True)
    assert len(write(small.store, matrix(small.store, past))) == 3
    small.publish({MODULE: "nothing left\n"})
    past = small_history(small.store, refresh=True)
    assert len(check(small.store, matrix(small.store, past), whole=True)) == 3
    commit = small.commits["moved"]
    recorded = small.store.supported()
    small.store.supported_file.write_bytes(
        small.store.supported_file.read_bytes().replace(
            recorded[0].commit.encode(), commit.encode()
        )
    )
    with pytest.raises(
        InvalidError, match=rf"{commit[:12]} .* load_quantized\.patch .*encoder\.py"
    ):
        check(small.store, matrix(small.store, past), whole=True)


def test_a_recorded_revision_that_is_not_there_is_told(small: SmallUpstream) -> None:
    past = small_history(small.store)
    made = matrix(small.store, past)
    write(small.store, made)
    some = replace(made, rows=made.rows[:-1])
    assert len(check(small.store, some, whole=False)) == 2
    with pytest.raises(InvalidError, match=rf"{small.commits['base'][:12]} .* no revision of"):
        check(small.store, some, whole=True)


def test_a_history_older_than_a_base_is_brought_up_to_date(small: SmallUpstream) -> None:
    commit = small.publish({})
    with (small.store.vendor / "upstream.toml").open("a") as pins:
        pins.write(pin("later", commit))
    assert small_history(small.store).resolve(commit) == commit


def test_a_patch_that_was_made_worse_is_named_with_its_hunk(small: SmallUpstream) -> None:
    past = small_history(small.store)
    write(small.store, matrix(small.store, past))
    made = matrix(small.store, past)
    broken = next(row for row in made.rows if row.revision.subject == "breaks").laid
    rows = [
        replace(row, laid=broken) if row.revision.subject == "merges" else row for row in made.rows
    ]
    with pytest.raises(InvalidError, match=r"load_quantized\.patch .*hunk @@ -1,5 \+1,5 @@"):
        check(small.store, replace(made, rows=tuple(rows)), whole=True)


@pytest.mark.parametrize("damage", ["its HEAD", "all of it", "no folder"])
def test_a_damaged_history_is_told_and_the_repository_around_it_stays(
    small: SmallUpstream, damage: str
) -> None:
    small_history(small.store)
    around, place = small.store.root, small.store.vendor / "upstream.git"
    git(around, "init", "-q", "-b", "main")
    git(around, "commit", "-q", "--allow-empty", "-m", "ours")
    git(around, "switch", "-q", "-c", "work")
    if damage == "its HEAD":
        (place / "HEAD").write_text("X\n")
    else:
        shutil.rmtree(place)
        place.mkdir() if damage == "all of it" else place.write_text("")
    before = git(around, "for-each-ref")
    with pytest.raises((ConflictError, OutsideError), match="upstream.git"):
        small_history(small.store)
    with suppress(PatcherError):  # it may be made anew
        small_history(small.store, refresh=True)
    assert git(around, "for-each-ref") == before
