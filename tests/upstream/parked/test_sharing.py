"""Processes that name one folder for weights hold them once, and make the clips they make alone."""

import re
import resource
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.copies import copies_in
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, LONG, FileSets
from tests.upstream.forks import forked
from verify.synthetic.files import named_models
from verify.upstream.command_line import LORA, Gemma
from verify.upstream.process import Pipelines

VARIANT = "2.0" if BASE == "1.0.0" else "2.3"
MODULE = "ltx_pipelines.distilled"
PARKED = ("--vram-budget", "auto")
MAKES_NOTHING = "tests.upstream.parked.nothing_made"


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where processes that are started from now on keep what host memory has no room for."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        monkeypatch.setenv("XDG_CACHE_HOME", name)
        yield Path(name) / "ltx2-patcher/weights"


@pytest.fixture
def argv(fileset: FileSets, tmp_path: Path, patched_tree: Path) -> list[str]:
    """With a quantized Gemma and a LoRA, which loading makes."""
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, VARIANT)
    files = fileset(VARIANT)
    out = tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched_tree)
    return [*argv, "--lora", str(named_models(files)[LORA]), "0.7", *PARKED]


def clip(pipelines: Pipelines, argv: list[str], *more: str, makes: bool = True) -> bytes:
    out = place_of(argv)
    out.unlink(missing_ok=True)
    module, argv = MODULE, [*argv, *more]
    if not makes:
        module, argv = MAKES_NOTHING, [module, *argv]
    done = pipelines.run(module, argv, timeout_s=300)
    assert done.code == 0, done.err
    return out.read_bytes()


def place_of(argv: list[str]) -> Path:
    """Where the clip goes: of an option that stands twice the last counts."""
    return Path(argv[len(argv) - argv[::-1].index("--output-path")])


def copies(folder: Path) -> dict[str, int]:
    """The copies there, and the inode of each."""
    return {path.name: path.stat().st_ino for path in folder.iterdir() if path.name != ".lock"}


def shares_of(pid: int, folder: Path) -> int:
    """The kB that a process takes of the files in a folder: its share of each page."""
    maps = Path(f"/proc/{pid}/smaps").read_text("utf-8")
    taken = 0
    for lines in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", maps, flags=re.MULTILINE):
        if f" {folder}/" in lines.partition("\n")[0]:
            (share,) = re.findall(r"^Pss: +(\d+) kB", lines, re.MULTILINE)
            taken += int(share)
    return taken


def test_two_processes_share_one_copy(
    argv: list[str], parked: Pipelines, memory: Path, patched_tree: Path
) -> None:
    """The second quantizes and fuses nothing; a third finds it when the first is killed."""
    wanted = clip(parked, argv)
    shared = ("--weights-folder", str(memory))
    with forked(patched_tree) as one:
        assert clip(one, argv, *shared) == wanted
        there = copies(memory)
        assert len(there) >= 5
        size = sum(path.stat().st_blocks for path in memory.iterdir()) // 2
        with Pipelines(patched_tree) as two:  # whose hashes are others
            assert clip(two, argv, *shared, makes=False) == wanted
            assert copies(memory) == there
            shares = [shares_of(each._process.pid, memory) for each in (one, two)]
            assert sum(shares) <= 1.15 * size, (shares, size)
            assert min(shares) >= 0.3 * size, (shares, size)
            told = copies_in(memory)
            assert {copy.path.name for copy in told} == set(there)
            assert all(copy.held for copy in told)
            one._process.kill()
            one._process.wait()
            with forked(patched_tree) as three:
                assert clip(three, argv, *shared, makes=False) == wanted
    # Each was killed, which left the copies for whoever comes next.
    assert copies(memory) == there


@LONG
def test_processes_that_begin_at_once_make_one_copy(
    argv: list[str], parked: Pipelines, memory: Path, patched_tree: Path, tmp_path: Path
) -> None:
    wanted = clip(parked, argv)
    shared = ("--weights-folder", str(memory))
    places = [[*argv, "--output-path", str(tmp_path / f"{number}.mp4")] for number in range(2)]
    with (
        forked(patched_tree) as one,
        Pipelines(patched_tree) as two,
        ThreadPoolExecutor() as both,
    ):
        made = [
            both.submit(clip, pipelines, place, *shared)
            for pipelines, place in zip((one, two), places, strict=True)
        ]
        assert [each.result() for each in made] == [wanted, wanted]
        there = copies(memory)
        assert {name.rpartition(".")[2] for name in there} == {"weights"}
        assert len({name.partition("-")[0] for name in there}) == len(there)


def test_what_memory_has_no_room_for_is_kept_on_a_disk(
    argv: list[str], parked: Pipelines, cache: Path, patched_tree: Path
) -> None:
    """Where loading makes it: the next process makes nothing."""
    wanted = clip(parked, argv)
    for makes in (True, False):
        with forked(patched_tree) as fresh:
            for _ in range(2):
                assert clip(fresh, argv, "--host-budget", "0.000001", makes=makes) == wanted
        models = {name.partition("-")[0] for name in copies(cache)}
        assert models >= {"GemmaTextEncoder", "LTXModel"}


@LONG
def test_what_a_file_holds_as_it_is_is_not_kept_again(
    fileset: FileSets, cache: Path, patched_tree: Path, tmp_path: Path
) -> None:
    case = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
    files, out = fileset(VARIANT), tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched_tree)
    with forked(patched_tree) as fresh:
        clip(fresh, argv, *PARKED, "--host-budget", "0.000001")
    models = {name.partition("-")[0] for name in copies(cache)} if cache.exists() else set()
    assert models.isdisjoint({"GemmaTextEncoder", "LTXModel"})


@LONG
def test_a_full_folder_is_told_and_the_clip_is_made(
    argv: list[str], parked: Pipelines, memory: Path, patched_tree: Path
) -> None:
    """A process may write no file there that is as large as a model."""
    wanted = clip(parked, argv)
    with forked(patched_tree) as fresh:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(fresh._process.pid, resource.RLIMIT_FSIZE, (1 << 20, hard))
        more = ("--weights-folder", str(memory))
        done = fresh.run(MODULE, [*argv, *more], timeout_s=300)
        assert done.code == 0, done.err
        assert place_of(argv).read_bytes() == wanted
        assert f"{memory} takes no copy of" in done.err
        assert not list(memory.glob("*.part"))
