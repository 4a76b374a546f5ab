"""OpenAI's own client, unmodified, in the versions that differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.service.http.conftest import picture
from tests.service.http.small_service import CLIP


def environment(version: str) -> Path:
    """The Python of an environment that has this client, made at first use."""
    folder = ROOT / "vendor" / f"openai-{version}"
    python = folder / "bin/python"
    if not (folder / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, f"openai=={version}"], check=True)
        (folder / ".done").touch()
    return python


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("2.2.0", marks=pytest.mark.slow),  # JSON where there is no file
        "2.54.0",  # always a form
        pytest.param("3.57.0", marks=pytest.mark.slow),
    ],
)
def test_the_client_works(http: httpx.Client, tmp_path: Path, version: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(CLIP)
    (tmp_path / "a.png").write_bytes(picture())
    script = Path(__file__).with_name("openai_session.py")
    done = subprocess.run(
        [
            *(environment(version), script, f"{http.base_url}"),
            *(tmp_path / "clip.mp4", tmp_path / "a.png"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == version
