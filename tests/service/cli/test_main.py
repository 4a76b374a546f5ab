"""What is typed and can't be meant is refused before anything starts."""

from __future__ import annotations

import pytest

from ltx2_patcher.values.errors import UsageError
from ltx2_service.cli.main import main
from tests.conftest import ROOT

DEMO = ("--config", str(ROOT / "ltx2_service/demo.toml"))


@pytest.mark.parametrize(
    ("words", "fact", "remedy"),
    [
        (("status", "--head"), "--head and --name say what a node is", "serve node"),
        (("run", "--name", "a"), "--head and --name say what a node is", "serve node"),
        (("node", "--head"), "has no cluster", 'executor = "ray"'),
    ],
)
def test_the_words_of_a_node_need_one(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], fact: str, remedy: str
) -> None:
    assert main([*words, *DEMO]) == UsageError.exit_code
    told, to_do = capsys.readouterr().err.splitlines()
    assert fact in told
    assert remedy in to_do
