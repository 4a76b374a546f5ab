"""The settings' file as it lies on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.values.errors import UsageError
from ltx2_service.boundaries.serve_file import others_may_read, read_settings
from tests.conftest import ROOT


def test_it_is_read_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "serve.toml").write_bytes((ROOT / "serve.example.toml").read_bytes())
    monkeypatch.chdir(tmp_path)
    settings = read_settings(Path("serve.toml"), ROOT)
    assert settings.state == tmp_path / "service/state"
    assert settings.tree == ROOT


def test_one_that_is_lacking_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no") as raised:
        read_settings(tmp_path / "serve.toml", ROOT)
    assert "serve.example.toml" in raised.value.remedy
    assert "make demo" in raised.value.remedy
    (tmp_path / "serve.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="no text"):
        read_settings(tmp_path / "serve.toml", ROOT)


def test_whether_others_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.touch(0o600)
    assert not others_may_read(file)
    file.chmod(0o640)
    assert others_may_read(file)
