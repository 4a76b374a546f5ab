"""A clip of the real patched pipeline, with tiny random weights: the one that `run` makes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.child import MODULE
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.jobs.series.obtain import obtain
from ltx2_service.values.assignment import Renderer
from tests.conftest import ROOT
from tests.runner import environment_owner
from tests.service.executors.conftest import Bench, card, wait_for
from tests.trees import environment
from tests.upstream.cases import Case, Mode, command_line
from verify.synthetic.files import FileSet
from verify.upstream.command_line import Gemma

pytestmark = pytest.mark.slow  # tests/service/cli/test_real.py makes one through the whole service
BASE, VARIANT = "1.2.0", "2.3"
CASE = Case("distilled", Mode.T2V, Gemma.PLAIN, VARIANT)
PARKED = ("--vram-budget", "auto")


@dataclass(frozen=True)
class Upstream:
    """The patched tree of a base, its environment, and tiny weights."""

    python: Path
    variables: dict[str, str]
    files: FileSet

    def argv(self, out: Path) -> list[str]:
        tree = Path(self.variables["LTX2_PATCHED_TREE"])
        files = self.files
        return command_line(CASE, files, files.text_encoder, None, out, tree=tree)

    def run(self, module: str, *argv: str) -> None:
        words = [str(self.python), "-m", module, *argv]
        done = subprocess.run(
            words, env=self.variables, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def upstream(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    base = store.base(BASE)
    obtain(store, base, "auto", lambda _phase, _share: None)
    python = environment_python(store, environment_owner(base, store.bases())).absolute()
    folder = tmp_path_factory.mktemp("real")
    variables = environment(folder, BASE)
    made = Upstream(python, variables, FileSet(folder / "files"))
    made.run("verify.synthetic", str(folder / "files"), "--variant", VARIANT)
    return made


def test_a_clip_equals_what_run_makes(bench: Bench, upstream: Upstream, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.mp4"
    upstream.run(CASE.module, *upstream.argv(wanted), *PARKED)
    bench.renderer = Renderer(
        BASE, "series", (str(upstream.python), "-m", MODULE), upstream.variables
    )
    executor, heard = bench.start()
    for job in ("first", "again"):
        assignment = bench.assignment(job)
        argv = (*upstream.argv(assignment.part), *PARKED)
        executor.assign(bench.worker, replace(assignment, argv=argv, module=CASE.module))
        ended = heard.end(job)
        assert ended.failure is None, bench.berth.log.read_text()
        assert bench.clip(job).read_bytes() == wanted.read_bytes()
    stages = dict.fromkeys(told.stage for told in heard.progress("first"))
    assert [*stages] == ["loading", "encoding", "denoising", "upsampling", "decoding"]
    latents = [told.latents for told in heard.progress("again") if told.latents is not None]
    assert len(latents) == 11  # of 8 and 3 steps
    assert latents[-1].read_bytes().startswith(b"\x93NUMPY")
    assert card(executor).warm == ("model",)


def test_a_clip_is_cancelled_within_a_step(bench: Bench, upstream: Upstream) -> None:
    bench.renderer = Renderer(
        BASE, "series", (str(upstream.python), "-m", MODULE), upstream.variables
    )
    executor, heard = bench.start()
    assignment = bench.assignment("a")
    argv = (*upstream.argv(assignment.part), *PARKED)
    executor.assign(bench.worker, replace(assignment, argv=argv, module=CASE.module))
    heard.step("a")
    executor.cancel("a", 1)
    ended = heard.end("a")
    assert ended.failure is not None and ended.failure.code == "cancelled"
    assert heard.progress("a")[-1].stage == "denoising"
    executor.settled("a", 1)  # what was told lies in a spool until then, of Ray within the clips
    wait_for(lambda: not any(path.is_file() for path in bench.settings.clips.rglob("*")))
