"""What one process compiled the next one finds, where both are alike."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import FileSets
from verify.upstream.command_line import Gemma

PROGRAM = """
import sys
import torch
from ltx_core.parked import identity
from ltx_pipelines.compile_cache import keep_compiled

if "other" in sys.argv:
    identity._DECIDING = (*identity._DECIDING, "pytest")  # as if another package decided
folder = keep_compiled(torch.device("cpu"))
found = {}
if "compile" in sys.argv:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def attention(x):
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH], set_priority=True):
            return torch.nn.functional.scaled_dot_product_attention(x * 2 + 1, x, x)

    torch.compile(attention)(torch.ones(1, 2, 16, 8))
    found = torch._dynamo.utils.counters["aot_autograd"]
print(folder, found.get("autograd_cache_hit", 0), found.get("autograd_cache_miss", 0))
"""


def compiled(cache: Path, *words: str, **variables: str) -> tuple[Path, int, int]:
    """The folder, and how often something was found in it, or not, by a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(cache), **variables}
    argv = [sys.executable, "-W", "ignore", "-c", PROGRAM, *words]
    said = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    folder, found, missed = said.stdout.split()[-3:]
    return Path(folder), int(found), int(missed)


@pytest.mark.slow  # g++ takes ten seconds a program
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU by g++")
def test_the_next_process_finds_what_one_compiled(tmp_path: Path) -> None:
    """The lowered graph of what chooses how attention computes, as a transformer's block does."""
    folder, found, missed = compiled(tmp_path, "compile")
    assert (found, missed) == (0, 1)
    assert compiled(tmp_path, "compile") == (folder, 1, 0)
    other, found, missed = compiled(tmp_path, "compile", "other")
    assert other != folder
    assert (found, missed) == (0, 1)


def test_processes_share_a_folder_that_are_alike(tmp_path: Path) -> None:
    folder, *_ = compiled(tmp_path)
    assert folder.parent == tmp_path / "ltx2-patcher/compiled"
    assert compiled(tmp_path)[0] == folder
    other, *_ = compiled(tmp_path, "other")
    assert other.parent == folder.parent and other != folder


def test_a_folder_that_was_named_stays_the_one(tmp_path: Path) -> None:
    named = tmp_path / "named"
    folder, *_ = compiled(tmp_path / "cache", TORCHINDUCTOR_CACHE_DIR=str(named))
    assert folder == named
    assert not (tmp_path / "cache").exists()


def test_what_was_not_used_for_a_month_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "ltx2-patcher/compiled"
    for name, days in (("old", 31), ("young", 29)):
        (root / name / "fxgraph").mkdir(parents=True)
        used_s = (root / name).stat().st_mtime - days * 86_400
        os.utime(root / name, (used_s, used_s))
    folder, *_ = compiled(tmp_path)
    assert {path.name for path in root.iterdir()} == {"young", folder.name}


@pytest.mark.revisions(since="2026-05-28")  # before, scripts have no --compile
def test_scripts_keep_what_they_compile(
    patched_tree: Path, fileset: FileSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ltx_pipelines.utils.args import default_2_stage_distilled_arg_parser

    case = Case("distilled", Mode.T2V, Gemma.PLAIN, "2.3")
    files = fileset(case.variant)
    out = tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, out, tree=patched_tree)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torchs_own = Path(tempfile.gettempdir()) / "torchinductor_somebody"  # from an import of torch's
    for flags, kept in (((), False), (("--compile",), True)):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(torchs_own))
        default_2_stage_distilled_arg_parser().parse_args([*argv, *flags])
        folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert folder.parent == (tmp_path / "ltx2-patcher/compiled" if kept else torchs_own.parent)
