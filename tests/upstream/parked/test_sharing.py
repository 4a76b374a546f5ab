"""Processes that name one folder for weights hold them once, and make the clips they make alone."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, FileSets
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
def argv(fileset: FileSets, tmp_path: Path, patched_tree: Path) -> list[str]:
    """With a quantized Gemma and a LoRA, which loading makes."""
    case = Case("distilled", Mode.T2V, Gemma.FLAG_4BIT, VARIANT)
    files = fileset(VARIANT)
    out = tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched_tree)
    return [*argv, "--lora", str(named_models(files)[LORA]), "0.7", *PARKED]


def clip(pipelines: Pipelines, argv: list[str], *more: str, makes: bool = True) -> bytes:
    out = Path(argv[argv.index("--output-path") + 1])
    out.unlink(missing_ok=True)
    module, argv = MODULE, [*argv, *more]
    if not makes:
        module, argv = MAKES_NOTHING, [module, *argv]
    done = pipelines.run(module, argv, timeout_s=300)
    assert done.code == 0, done.err
    return out.read_bytes()


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
    with Pipelines(patched_tree) as one:
        assert clip(one, argv, *shared) == wanted
        there = copies(memory)
        assert len(there) >= 5
        size = sum(path.stat().st_blocks for path in memory.iterdir()) // 2
        with Pipelines(patched_tree) as two:
            assert clip(two, argv, *shared, makes=False) == wanted
            assert copies(memory) == there
            shares = [shares_of(each._process.pid, memory) for each in (one, two)]
            assert sum(shares) <= 1.15 * size, (shares, size)
            assert min(shares) >= 0.3 * size, (shares, size)
            one._process.kill()
            one._process.wait()
            with Pipelines(patched_tree) as three:
                assert clip(three, argv, *shared, makes=False) == wanted
    # Each was killed, which left the copies for whoever comes next.
    assert copies(memory) == there
