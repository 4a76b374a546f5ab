"""What `serve check` finds, each fault by its name, and that a service which is up is none."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.machine import gpus
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_service.boundaries.listening import listen, port_of
from ltx2_service.boundaries.lock import Holder, held
from ltx2_service.jobs.checking import examine
from ltx2_service.values.job import Wanted
from ltx2_service.values.judged import Judged
from ltx2_service.values.settings import Settings
from tests.service.conftest import judge, settings_in

TOKEN = {"0123456789abcdef": "studio"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with listen("127.0.0.1", 0) as any_port:
        port = port_of(any_port)
    return replace(settings_in(tmp_path), port=port)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "serve.toml"
    file.touch(0o600)
    return file


def found(settings: Settings, file: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(settings, judge, file)}


def failures(settings: Settings, file: Path) -> dict[str, str]:
    return {
        name: f"{finding.fact}; {finding.remedy}"
        for name, finding in found(settings, file).items()
        if finding.level is Level.FAILURE
    }


def test_each_thing_is_looked_at(settings: Settings, file: Path, tmp_path: Path) -> None:
    looked = found(replace(settings, image_root=tmp_path), file)
    assert list(looked) == [
        *("tokens", "address", "state", "clips", "image_root", "gpus"),
        *("fast", "fine"),
    ]
    assert failures(settings, file) == {}
    assert settings.state.is_dir() and settings.clips.is_dir()
    assert looked["fast"].fact == "distilled of 1.2.0, of itself 768x512, 25 frames"


def test_tokens_are_for_their_owner(settings: Settings, file: Path) -> None:
    with_token = replace(settings, tokens=TOKEN)
    assert found(with_token, file)["tokens"].fact == "of studio"
    file.chmod(0o644)
    warning = found(with_token, file)["tokens"]
    assert (warning.level, warning.remedy) == (Level.WARNING, f"run `chmod 600 {file}`")


def test_an_address_for_all_takes_a_token(settings: Settings, file: Path) -> None:
    open_to_all = replace(settings, host="0.0.0.0")
    assert "token" in failures(open_to_all, file)["address"]
    assert failures(replace(open_to_all, tokens=TOKEN), file) == {}


def test_a_port_in_use_is_told_but_not_our_own(settings: Settings, file: Path) -> None:
    with listen(settings.host, settings.port):
        assert "another program listens" in failures(settings, file)["address"]
        with held(settings.state) as tell:
            tell(Holder(os.getpid(), settings.host, settings.port))
            assert failures(settings, file) == {}
            elsewhere = replace(settings, port=settings.port ^ 1)
            assert "serves" in failures(elsewhere, file)["address"]


def test_folders_that_are_none_are_told(settings: Settings, file: Path) -> None:
    broken = replace(settings, state=file, clips=file / "clips", image_root=file)
    assert failures(broken, file).keys() == {"state", "clips", "image_root"}


def test_a_card_that_is_not_there_is_told(settings: Settings, file: Path) -> None:
    assert failures(replace(settings, gpus=(63,)), file).keys() == {"gpus"}
    assert (found(settings, file)["gpus"].level is Level.WARNING) == (not gpus())


def test_a_model_is_judged_by_the_gate(settings: Settings, file: Path) -> None:
    asked: list[Wanted] = []

    def refuses_one(wanted: Wanted) -> Judged:
        asked.append(wanted)
        if wanted.model == "fine":
            raise ConflictError("its files don't go together", remedy="take others")
        warning = Finding("card", Level.WARNING, "it will be slow", "wait")
        return replace(judge(wanted), warnings=(warning,))

    findings = [
        (finding.level, finding.fact)
        for finding in examine(settings, refuses_one, file)
        if finding.subject in {"fast", "fine"}
    ]
    assert [one for one in findings if one[0] is not Level.OK] == [
        (Level.WARNING, "it will be slow"),
        (Level.FAILURE, "its files don't go together"),
    ]
    assert [wanted.seed for wanted in asked] == [0, 0]
