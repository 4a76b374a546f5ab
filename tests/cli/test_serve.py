"""The tool's verb for the service, and what people start it by."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.cli.verbs import serve
from ltx2_patcher.values.errors import ConflictError, UsageError
from tests.conftest import ROOT


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", "serve", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_settings_are_told_to_be_lacking(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    for word in ("start", "stop", "status", "check"):
        done = tool(word, "--config", str(file))
        assert done.returncode == UsageError.exit_code
        assert f"there is no {file}" in done.stderr
        assert "serve.example.toml" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_does_not_run_is_told(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text((ROOT / "serve.example.toml").read_text())
    done = tool("status", "--config", str(file), "--json")
    assert done.returncode == ConflictError.exit_code
    assert json.loads(done.stdout)["error"] == "the service does not run"
    done = tool("stop", "--config", str(file))
    assert (done.returncode, done.stdout) == (0, "nothing to do: the service does not run\n")


def test_findings_are_shown_as_doctor_shows_them(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text((ROOT / "serve.example.toml").read_text())
    done = tool("check", "--config", str(file), "--port", "0")
    assert done.returncode == 4  # its weights are not here
    assert "ltx-2.3-distilled" in done.stdout
    assert "failure" in done.stdout
    found = json.loads(tool("check", "--config", str(file), "--port", "0", "--json").stdout)
    assert {"tokens", "address", "ltx-2.3-distilled"} <= {one["subject"] for one in found}


def test_what_it_lacks_is_installed_by_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    serve._require_extra()
    monkeypatch.setattr(serve, "_NEEDED", ("json", "no_such_library"))
    with pytest.raises(ConflictError, match="the service needs no_such_library") as raised:
        serve._require_extra()
    assert raised.value.remedy == "run `make serve-install`"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (("./start.sh",), "serve start --port 6020"),
        (("./stop.sh",), "serve stop --port 6020"),
        ((sys.executable, "ltx2_server.py"), "serve --port 6020"),
    ],
)
def test_the_scripts_call_the_tool_of_their_folder(
    tmp_path: Path, program: tuple[str, ...], words: str
) -> None:
    shutil.copy(ROOT / program[-1], tmp_path)
    argv = [*program[:-1], str(tmp_path / program[-1]), "--port", "6020"]
    lacking = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert lacking.returncode != 0
    assert "make patch" in lacking.stderr
    stand_in = tmp_path / ".venv/bin/ltx2-patcher"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=os.sep)
    assert done.stdout == f"{words}\n"
