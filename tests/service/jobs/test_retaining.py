from __future__ import annotations

import os
import time
from pathlib import Path

from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.store import Store
from ltx2_service.jobs.retaining import retain, sweep
from ltx2_service.values.attempt import Completed
from ltx2_service.values.job import Job, Picture, State, Wanted

DAY_S = 86_400.0


def made(store: Store, clips: Clips, name: str, ended_s: float, *pictures: Path) -> None:
    taken = tuple(map(Picture, pictures))
    wanted = Wanted("x", model="fast", seed=1, pictures=taken)
    job = Job(name, wanted, State.QUEUED, 1.0, (), "series")
    store.accept(job, body="", tokens=1, most=9, data={})
    claim = store.claim(name, "gpu0", cold=False, now_s=ended_s)
    assert claim is not None
    place = clips.place(name, claim.token)
    place.write_bytes(b"clip")
    clips.write_settings(name, {"prompt": "x"})
    clips.thumbnail(place).write_bytes(b"picture")
    clips.tagged(place).write_bytes(b"clip")
    store.finish(name, claim.token, Completed(place.name, 1.0, 1), ended_s)


def test_old_clips_go_with_what_belongs_to_them_and_their_rows_stay(tmp_path: Path) -> None:
    clips, uploads = Clips(tmp_path / "clips"), tmp_path / "uploads"
    store = Store(tmp_path / "jobs.sqlite3", clips.root)
    uploads.mkdir()
    outside = tmp_path / "theirs.png"
    for path in (outside, uploads / "old.png", uploads / "lost.png", uploads / "fresh.png"):
        path.write_bytes(b"picture")
    hours_ago_s = time.time() - 7200
    os.utime(uploads / "lost.png", (hours_ago_s, hours_ago_s))
    os.utime(uploads / "old.png", (hours_ago_s, hours_ago_s))
    made(store, clips, "video_old", 0.0, uploads / "old.png", outside)
    made(store, clips, "video_new", 2 * DAY_S)
    retain(store, clips, uploads, days=3.0, now_s=2 * DAY_S)
    assert {path.name for path in uploads.iterdir()} == {"old.png", "fresh.png"}
    retain(store, clips, uploads, days=3.0, now_s=4 * DAY_S)
    assert {path.name for path in clips.root.iterdir()} == {
        "video_new.mp4",
        "video_new.json",
        "video_new.thumbnail.webp",
        "video_new.tagged.mp4",
    }
    assert {path.name for path in uploads.iterdir()} == {"fresh.png"}
    assert outside.exists()
    old = store.job("video_old")
    assert old is not None and old.state is State.COMPLETED and old.clip is None


def test_what_dead_attempts_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    clips = Clips(tmp_path / "clips")
    store = Store(tmp_path / "jobs.sqlite3", clips.root)
    made(store, clips, "video_1", 0.0)
    job = Job("video_2", Wanted("x", model="fast"), State.QUEUED, 1.0, (), "series")
    store.accept(job, body="", tokens=1, most=9, data={})
    store.claim("video_2", "gpu0", cold=False, now_s=1.0)
    kept = {"video_1.mp4", "video_1.json", "video_1.thumbnail.webp", "video_2.1.part.mp4"}
    kept |= {"video_1.tagged.mp4", "video_unknown.mp4", "holiday.mp4"}
    for name in kept | {"video_1.2.mp4", "video_1.1.part.mp4", "video_2.7.part.mp4"}:
        (clips.root / name).touch()
    sweep(store, clips)
    assert {path.name for path in clips.root.iterdir()} == kept
