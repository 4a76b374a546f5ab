"""What upstream published after the newest base is reported once."""

from __future__ import annotations

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.outdated import outdated
from ltx2_patcher.values.errors import InvalidError
from tests.small_upstream import ENCODER, MODULE, SOURCE, SmallUpstream


def test_each_revision_is_reported_once(small: SmallUpstream) -> None:
    first = outdated(small.store)
    subjects = [news.row.revision.subject for news in first.fresh]
    assert subjects[0] == "moved" and subjects[-1] == "merges"
    assert outdated(small.store).fresh == ()
    commit = small.publish({MODULE: f"import os\n{ENCODER}".replace("(root):", "(root, *more):")})
    again = outdated(small.store)
    assert [news.row.revision.commit for news in again.fresh] == [commit]
    assert [revision.commit for revision in again.reported] == [
        news.row.revision.commit for news in first.fresh
    ]
    (news,) = again.fresh
    assert [fit.patch.name for fit in news.row.laid["small"].misfits] == ["load_quantized.patch"]
    (file,) = (file for file in news.files if file.path == MODULE)
    assert (file.added, file.removed, file.gone) == (2, 1, False)
    assert [edit.new for edit in file.near] == [
        (b"import os\n", b"def load(root, *more):\n"),
    ]
    assert outdated(small.store).fresh == ()


def test_a_file_that_moved_is_told_with_its_new_place(small: SmallUpstream) -> None:
    small.publish({f"{SOURCE}/encoders.py": None})
    gone, moved = outdated(small.store).fresh[:2]
    told = [[(file.path, file.moved) for file in one.files if file.gone] for one in (gone, moved)]
    assert told == [[(MODULE, None)], [(MODULE, f"{SOURCE}/encoders.py")]]


def test_a_torn_record_is_named(small: SmallUpstream) -> None:
    outdated(small.store)
    (small.store.vendor / "outdated.json").write_text("{")
    with pytest.raises(InvalidError, match=r"outdated\.json"):
        outdated(small.store)


@pytest.mark.history
def test_the_newest_base_of_the_real_history(copied_store: Store, history: Objects) -> None:
    pins_file = copied_store.vendor / "upstream.toml"
    url = copied_store.bases()[0].url
    pins_file.write_text(pins_file.read_text().replace(url, str(history.place)))
    revisions = [revision.commit for revision in history.revisions(["main"])]
    done = outdated(copied_store)
    pins = {base.commit for base in copied_store.bases()}
    at = next(n for n, commit in enumerate(revisions) if commit in pins)
    assert [news.row.revision.commit for news in done.fresh] == revisions[:at]
    assert done.base.commit == revisions[at]
    assert outdated(copied_store).fresh == ()
