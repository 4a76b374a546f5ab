"""Upstream's whole history in one bare repository, and a series laid on its revisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.history import history_with
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.rules.series.three_way import Fit, How, replay
from ltx2_patcher.values.errors import UsageError
from tests.conftest import git
from tests.rebases import make_place

pytestmark = pytest.mark.history


def laid_on(store: Store, history: Objects, commit: str) -> tuple[Fit, ...]:
    series = store.series("1.0.0")
    before = series.lock.before
    blobs = history.blob_ids([series.lock.commit, commit], list(before))
    assert blobs[series.lock.commit] == before
    there = blobs[commit]
    texts = history.contents([*before.values(), *there.values()])
    base = {path: texts[blob] for path, blob in before.items()}
    tree = {path: texts[blob] for path, blob in there.items()}
    drift = line_diffs([(base[path], tree[path]) for path in tree])
    return replay(series.patches, base, tree, dict(zip(tree, drift, strict=True)))


def test_the_first_parents_are_upstreams_releases(history: Objects) -> None:
    found = history.revisions(["main"])
    assert [r.commit[:10] for r in found[-2:]] == ["5cb97a9f07", "fc3b319d34"]
    assert {"ae855f8538", "400fd31054"} <= {r.commit[:10] for r in found}
    with pytest.raises(UsageError, match="names no revision"):
        history.revisions(["no-such-branch"])
    with pytest.raises(UsageError, match="is no revision"):
        history.revisions(["--all"])


def test_on_its_own_base_every_patch_is_strict(store: Store, history: Objects) -> None:
    series = store.series("1.0.0")
    fits = laid_on(store, history, series.lock.commit)
    assert {fit.how for fit in fits} == {How.STRICT}
    texts = history.contents(series.lock.before.values())
    base = {path: texts[blob] for path, blob in series.lock.before.items()}
    made = stages(series, series.lock.groups[-1], base)[1:]
    assert [dict(fit.files) for fit in fits] == [dict(stage.files) for stage in made]


def test_the_next_revision_has_what_it_took_over_and_lacks_the_ledger(
    store: Store, history: Objects
) -> None:
    (commit,) = (r.commit for r in history.revisions(["main"]) if r.commit.startswith("59ca828"))
    fits = {fit.patch.name: fit for fit in laid_on(store, history, commit)}
    load = fits["load_the_gemma_text_encoder_quantized.patch"]
    assert load.how is How.MISFIT
    assert {b.path.rpartition("/")[2] for b in load.breaches if b.clash is None} == {
        "model_ledger.py"
    }
    assert fits["enhance_prompts_on_a_cpu.patch"].how is How.STRICT


def test_a_name_that_is_not_here_is_asked_for(tmp_path: Path, history: Objects) -> None:
    """Upstream tagged it after the history was brought."""
    place = make_place(tmp_path / "repository", history)
    kept = place.vendor / "upstream.git"
    git(kept, "update-ref", "-d", "refs/tags/v1.2.0")
    assert history_with(place, ["main"]).resolve("v1.2.0") is None
    assert history_with(place, ["v1.2.0"]).resolve("v1.2.0") == history.resolve("v1.2.0")
