"""What a cluster's executor does without a cluster, and what it keeps on disk. No Ray is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from ltx2_service.boundaries.listening import listen, port_of
from ltx2_service.boundaries.ray.executor import RayExecutor
from ltx2_service.boundaries.ray.hands import Hands
from ltx2_service.boundaries.ray.latents import Latents
from ltx2_service.boundaries.ray.pipe import Pipe
from ltx2_service.boundaries.ray.process import machines, require_token
from ltx2_service.boundaries.spool import Spool
from ltx2_service.values.driving import Beat, EndAll
from ltx2_service.values.job import Failure
from ltx2_service.values.messages import Over
from ltx2_service.values.settings import Cluster, Settings
from ltx2_service.values.told import Ended, Progress


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with listen("127.0.0.1", 0) as any_port:
        address = f"127.0.0.1:{port_of(any_port)}"
    cluster = Cluster(address, tmp_path / "shared", tmp_path / "token")
    cluster.shared.mkdir()
    clips = cluster.shared / "clips"
    return Settings(models=(), state=tmp_path / "state", clips=clips, cluster=cluster)


def test_without_a_head_what_was_given_out_is_in_hand(settings: Settings) -> None:
    assert settings.cluster is not None
    hands = Hands(settings.state)
    hands.put("made", 1, "a-gpu0")
    hands.put("runs", 2, "b-gpu0")
    Spool(settings.cluster.shared).put(Over("made", 1, "a-gpu0", Ended(1.0, 7)))
    told: list[tuple[str, int, Progress | Ended]] = []
    executor = RayExecutor(settings, "code")
    executor.start(lambda *what: told.append(what))
    try:
        assert str(executor.trouble()) == (
            f"The head of the Ray cluster, {settings.cluster.address}, does not answer; "
            "clips wait for it."
        )
        assert told == [("made", 1, Ended(1.0, 7))]
        assert set(executor.running()) == {("made", 1, "a-gpu0"), ("runs", 2, "b-gpu0")}
        executor.settled("made", 1)
        executor.cancel("runs", 2)
        job, token, ended = told[-1]
        assert (job, token) == ("runs", 2)
        assert isinstance(ended, Ended)
        assert ended.worker_lost
        assert isinstance(ended.failure, Failure)
        executor.settled("runs", 2)
        assert not executor.running()
        assert not executor.cards()
        assert not list(hands.all())
    finally:
        executor.stop(0.0)


def test_a_torn_note_is_left_out(tmp_path: Path) -> None:
    hands = Hands(tmp_path)
    hands.put("a", 1, "w")
    (tmp_path / "hands/b.1.json").write_text('{"job": "b"')
    (tmp_path / "hands/c.1.json").write_text("[]")
    assert list(hands.all()) == [("a", 1, "w")]
    hands.drop("a", 1)
    hands.drop("a", 1)
    assert not list(hands.all())


def test_few_latents_of_a_job_are_kept(tmp_path: Path) -> None:
    latents = Latents(tmp_path / "latents")
    first, second, third = (latents.put("a", data) for data in (b"1", b"2", b"3"))
    assert first is not None
    assert second is not None
    assert third is not None
    assert not first.exists()
    assert (second.read_bytes(), third.read_bytes()) == (b"2", b"3")
    latents.forget("a")
    assert not list((tmp_path / "latents").iterdir())


def test_a_pipe_ends_with_its_other_end() -> None:
    ours, socket = Pipe.pair()
    theirs = Pipe(socket.detach())
    assert ours.send(EndAll(1.0))
    assert theirs.received(None) == EndAll(1.0)
    assert ours.received(0.0) is None
    assert theirs.send(Beat(("a-0",)))
    theirs.close()
    assert ours.received(None) == Beat(("a-0",))
    with pytest.raises(EOFError):
        ours.received(None)
    assert not ours.send(EndAll(0.0))


def test_a_token_is_there_for_nobody_else(settings: Settings) -> None:
    cluster = settings.cluster
    assert cluster is not None
    with pytest.raises(OutsideError, match="there is no token"):
        require_token(cluster)
    cluster.token_file.touch(0o600)
    with pytest.raises(OutsideError, match="there is no token"):
        require_token(cluster)
    cluster.token_file.write_text("0123456789abcdef")
    require_token(cluster)
    cluster.token_file.chmod(0o644)
    with pytest.raises(OutsideError, match="can be read by others"):
        require_token(cluster)


def test_a_head_that_is_not_there_is_told(settings: Settings) -> None:
    assert settings.cluster is not None
    with pytest.raises(OutsideError, match="nothing answers at") as raised:
        machines(replace(settings.cluster, token_file=Path("/dev/null")), Path())
    assert "serve node --head" in raised.value.remedy
