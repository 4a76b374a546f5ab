"""The long-lived process, with a tree of small modules in upstream's layout."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import InvalidError, OutsideError
from verify.upstream.process import Pipelines

MODULES = {
    "says": """
import os, sys
def main():
    print(sys.argv[1:])
    os.write(2, b"from below\\n")
""",
    "exits": "import sys\ndef main(): sys.exit(int(sys.argv[1]))",
    "explains": "import sys\ndef main(): sys.exit('no such file')",
    "returns": "def main(): return 4",
    "raises": "def main(): raise ValueError('a bug')",
    "hooks": """
import sys
def main():
    sys.excepthook = lambda kind, error, trace: sys.exit(5)
    raise ValueError
""",
    "dies": "import os\ndef main(): os._exit(9)",
    "sleeps": "import time\ndef main(): time.sleep(60)",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose `ltx_core` holds `MODULES`."""
    root = tmp_path_factory.mktemp("tree")
    package = root / "packages" / "ltx-core" / "src" / "ltx_core"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, source in MODULES.items():
        (package / f"{name}.py").write_text(source, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def pipelines(tree: Path) -> Iterator[Pipelines]:
    """One that no test ends."""
    with Pipelines(tree) as started:
        yield started


def test_each_run_has_its_own_arguments_and_output(pipelines: Pipelines) -> None:
    """Output of native code included, and none of it left for the next run."""
    first = pipelines.run("ltx_core.says", ["--seed", "1"])
    second = pipelines.run("ltx_core.says", [])
    assert (first.code, first.out, first.err) == (0, "['--seed', '1']\n", "from below\n")
    assert (second.out, second.err) == ("[]\n", "from below\n")


def test_codes_are_those_of_the_interpreter(pipelines: Pipelines) -> None:
    """For each way to end, and the process goes on."""
    assert pipelines.run("ltx_core.exits", ["2"]).code == 2
    assert pipelines.run("ltx_core.returns", []).code == 4
    explained = pipelines.run("ltx_core.explains", [])
    assert (explained.code, explained.err) == (1, "no such file\n")
    raised = pipelines.run("ltx_core.raises", [])
    assert raised.code == 1
    assert "ValueError: a bug" in raised.err
    assert pipelines.run("ltx_core.hooks", []).code == 5
    assert pipelines.run("ltx_core.raises", []).code == 1
    assert pipelines.run("ltx_core.exits", ["0"]).code == 0


def test_another_upstream_than_the_trees_is_refused(tmp_path: Path) -> None:
    """Else a test would prove what is installed, not what it names."""
    with pytest.raises(InvalidError, match="would use"), Pipelines(tmp_path):
        pass


def test_a_dead_process_is_reported(tree: Path) -> None:
    """With its code."""
    with Pipelines(tree) as one, pytest.raises(OutsideError, match="ended with 9"):
        one.run("ltx_core.dies", [])


def test_a_late_answer_is_reported(tree: Path) -> None:
    """And the process is not waited for."""
    with Pipelines(tree) as one, pytest.raises(OutsideError, match="no answer"):
        one.run("ltx_core.sleeps", [], timeout_s=0.2)
