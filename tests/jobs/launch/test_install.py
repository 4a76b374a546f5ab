"""Environments, made by a real venv and a real pip, from wheels of a few bytes."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.bitsandbytes import probe
from ltx2_patcher.boundaries.environment import Environment, describe
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import (
    environment_path,
    environment_python,
    install_environment,
    join_environment,
)
from ltx2_patcher.jobs.launch.pipelines import source_paths
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import BusyError, ConflictError, OutsideError, UsageError
from tests.conftest import files
from tests.small_wheels import only_from, tiny, write_wheels

INSTALL = (
    "import sys\n"
    "from pathlib import Path\n"
    "from ltx2_patcher.boundaries.store import Store\n"
    "from ltx2_patcher.jobs.launch.install import install_environment\n"
    "store = Store(Path(sys.argv[1]))\n"
    "install_environment(store, store.base('1.0.0'), print)\n"
)


@pytest.fixture
def place(copied_store: Store, base: Base) -> Store:
    """A repository with a checkout; what lies in it plays no part here."""
    for name in ("ltx-core", "ltx-pipelines"):
        (copied_store.vendor / f"LTX-2-{base.name}/packages/{name}/src").mkdir(parents=True)
    return copied_store


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip and nothing else. Copy it: making one takes seconds."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def made(place: Store, base: Base, bare: Path) -> Environment:
    """The environment of `place`, as a first run leaves it."""
    shutil.copytree(bare, environment_path(place, base), symlinks=True)
    install_environment(place, base, _quiet)
    return describe(environment_python(place, base))


@pytest.fixture(autouse=True)
def _no_network(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in tiny(base, tmp_path / "wheels").items():
        monkeypatch.setenv(name, value)


def _quiet(line: str) -> None:
    assert line


def test_an_environment_is_made_and_the_next_run_finds_nothing_to_do(
    place: Store, base: Base
) -> None:
    with pytest.raises(ConflictError, match="no environment"):
        environment_python(place, base)
    planned = install_environment(place, base, _quiet, dry_run=True)
    assert not environment_path(place, base).exists()
    done = install_environment(place, base, _quiet)
    assert planned.added == done.added == tuple(f"{n}=={v}" for n, v in base.environment.items())
    assert done.torch == "cpu"
    there = describe(environment_python(place, base))
    assert there.installed().items() >= dict(base.environment).items()
    assert there.compiled_torchaudio() == []
    told = subprocess.run(
        [there.python, "-c", "import sys; print(*sys.path, sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    )
    sources = source_paths(checkout_path(place, base))
    assert set(map(str, sources)) <= set(told.stdout.splitlines())
    before = files(place.vendor)
    again = install_environment(place, base, _quiet)
    assert again.added == ()
    assert files(place.vendor) == before


def test_what_was_lost_or_left_half_is_repaired_and_nothing_else(
    place: Store, base: Base, made: Environment
) -> None:
    shutil.rmtree(next(made.packages.glob("einops-*.dist-info")))
    next(made.packages.glob("scipy-*.dist-info/RECORD")).unlink()  # pip was killed there
    (made.packages / "torchaudio/lib/_torchaudio.so").write_text("back")
    made.link(())
    done = install_environment(place, base, _quiet)
    assert done.added == tuple(f"{n}=={base.environment[n]}" for n in ("einops", "scipy"))
    assert made.installed().items() >= dict(base.environment).items()
    assert made.linked() == source_paths(checkout_path(place, base))
    assert made.compiled_torchaudio() == []
    assert install_environment(place, base, _quiet).added == ()


def _install_once_free(place: Store, base: Base) -> None:
    """The venv or pip that the killed run had started lives a little longer."""
    for _ in range(60):
        try:
            install_environment(place, base, _quiet)
        except BusyError as error:
            assert "killed run" in str(error)
            time.sleep(0.5)
        else:
            return
    pytest.fail("it stays busy")


@pytest.mark.parametrize(
    "sign",
    [
        "installing torchaudio",
        pytest.param("bin/python", marks=pytest.mark.slow),
        pytest.param("pip/__init__.py", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_is_finished_by_the_next(place: Store, base: Base, sign: str) -> None:
    folder = environment_path(place, base)
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", INSTALL, place.vendor.parent], stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        if sign.startswith("installing"):
            while not child.stdout.readline().decode().startswith(sign):
                assert child.poll() is None
        else:
            while not any(folder.rglob(sign)):
                assert child.poll() is None
                time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    _install_once_free(place, base)
    installed = describe(environment_python(place, base)).installed()
    assert installed.items() >= dict(base.environment).items()
    assert install_environment(place, base, _quiet).added == ()


def test_an_index_without_the_package_is_one_sentence(
    place: Store, base: Base, bare: Path, tmp_path: Path
) -> None:
    shutil.copytree(bare, environment_path(place, base), symlinks=True)
    next((tmp_path / "wheels").glob("torch-*")).unlink()
    with pytest.raises(OutsideError, match="index has no torch==") as caught:
        install_environment(place, base, _quiet)
    assert "pip config" in caught.value.remedy


def test_an_index_that_can_not_be_reached_is_one_sentence(
    place: Store, base: Base, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bare, environment_path(place, base), symlinks=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", closed)
    with pytest.raises(OutsideError, match="could not bring torch==") as caught:
        install_environment(place, base, _quiet)
    assert f"{closed} can't be reached (Connection refused)" in str(caught.value)
    assert "network" in caught.value.remedy and "works without" in caught.value.remedy


def _obey_permissions() -> None:
    """Let root, in the program that follows, write only where anyone in its place could."""
    drop_from_bounding_set, dac_override = 24, 1  # <linux/prctl.h>, <linux/capability.h>
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def test_no_permission_is_one_sentence(place: Store) -> None:
    place.vendor.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", INSTALL, place.vendor.parent],
            preexec_fn=_obey_permissions,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        place.vendor.chmod(0o755)
    assert "OutsideError: no permission" in done.stderr.splitlines()[-1]


def test_no_checkout_is_told(copied_store: Store, base: Base) -> None:
    with pytest.raises(ConflictError, match="no patched checkout") as caught:
        install_environment(copied_store, base, _quiet)
    assert caught.value.remedy == "run `make patch`"


@pytest.fixture
def theirs(bare: Path, tmp_path: Path) -> Path:
    """An environment of the user's, with a torch and a transformers of its own."""
    folder = tmp_path / "theirs"
    shutil.copytree(bare, folder, symlinks=True)
    _put(folder, tmp_path, torch="2.8.0", transformers="4.55.0")
    return folder / "bin/python"


def _put(env: Path, folder: Path, **holding: str) -> None:
    wanted = [f"{name}=={version}" for name, version in holding.items()]
    subprocess.run(
        [env / "bin/python", "-m", "pip", "install", "-q", *wanted],
        check=True,
        env={**os.environ, **only_from(write_wheels(folder / "others", holding))},
    )


def test_an_environment_of_the_users_gets_only_what_it_lacks(base: Base, theirs: Path) -> None:
    before = describe(theirs).installed()
    planned = join_environment(base, theirs, _quiet, dry_run=True)
    assert describe(theirs).installed() == before
    # As one that uv made, it may have no pip.
    for folder in describe(theirs).packages.glob("pip*"):
        shutil.rmtree(folder)
    del before["pip"]
    done = join_environment(base, theirs, _quiet)
    assert planned.added == done.added
    after = describe(theirs).installed()
    assert after.items() >= before.items()
    assert after["bitsandbytes"] == base.environment["bitsandbytes"]
    assert join_environment(base, theirs, _quiet).added == ()


def test_an_environment_that_does_not_go_with_the_base_is_left_alone(
    base: Base, theirs: Path, tmp_path: Path
) -> None:
    _put(theirs.parents[1], tmp_path, transformers="5.8.0")
    before = files(theirs.parents[1])
    with pytest.raises(ConflictError, match=r"transformers 5\.8\.0"):
        join_environment(base, theirs, _quiet)
    assert files(theirs.parents[1]) == before


def test_what_is_no_python_is_refused(base: Base, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("no")
    for python in (tmp_path / "python", tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="not a working Python"):
            join_environment(base, python, _quiet)


@pytest.mark.slow
def test_the_real_environment_runs_both_quantizations(
    place: Store, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name)
    install_environment(place, base, _quiet)
    probed = probe(describe(environment_python(place, base)), {})
    assert probed.failures == {}
    assert probed.errors.keys() == {"4bit", "8bit"}
