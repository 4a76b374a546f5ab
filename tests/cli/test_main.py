"""What every verb shares: help, JSON, exit codes, streams; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ltx2_patcher.cli.main import VERBS
from ltx2_patcher.values.errors import INTERRUPTED
from tests.conftest import BASE, ROOT, Environment, Run


def loaded_by(*arguments: str) -> set[str]:
    """The modules of verbs that a command line imports."""
    code = (
        "import sys\n"
        "from ltx2_patcher.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*(name for name in sys.modules if name.startswith('ltx2_patcher.cli.verbs.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage: ltx2-patcher" in done.stdout + done.stderr
    return {name.rpartition(".")[2] for name in done.stdout.splitlines()[-1].split()}


def test_a_verb_is_a_module_that_only_it_imports() -> None:
    modules = {path.stem for path in (ROOT / "ltx2_patcher/cli/verbs").glob("[!_]*.py")}
    assert set(VERBS) == modules
    assert loaded_by("--help") == set() == loaded_by("aply")
    for verb in VERBS:
        assert loaded_by(verb, "--help") == {verb}


@pytest.mark.usefixtures("at_a_terminal")
def test_an_interruption_has_its_exit_code(tmp_path: Path) -> None:
    pipe = tmp_path / "message"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "ltx2_patcher", "new", "a", "--message", str(pipe)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):  # opens once the child reads there
        child.send_signal(signal.SIGINT)
        _, complaint = child.communicate()
    assert (child.returncode, "Traceback" in complaint) == (INTERRUPTED, False)
    assert "interrupted" in complaint


def test_the_version_is_that_of_pyproject(patcher: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert patcher("--version").stdout == f"ltx2-patcher {project['version']}\n"


def test_every_verb_speaks_json(
    patcher: Run, tree: Path, environment: Environment, tmp_path: Path
) -> None:
    python = environment.python
    calls = [
        ("apply", "--tree", tree, "--dry-run"),
        ("apply", "--tree", tree),
        ("status", "--tree", tree),
        ("unapply", "--tree", tree),
        ("apply", "--site-packages", python),
        ("status", "--site-packages", python),
        ("unapply", "--site-packages", python),
        ("export", "--mbox", tmp_path / "x.mbox"),
        ("lint",),
    ]
    for arguments in calls:
        done = patcher(*arguments, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        assert json.loads(done.stdout)
    failed = patcher("apply", "--tree", tmp_path, "--json")
    assert json.loads(failed.stdout)["exit_code"] == failed.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["apply", "--base", "1.0.1"], 2, "1.0.0"),
        (["apply", "--upto", "gemma-qant"], 2, "gemma-quant"),
        (["apply", "--source", "ftp"], 2, "git"),
        (["aply"], 2, "apply"),
        ([], 2, "VERB"),
        (["apply", "--tree", "/nonexistent"], 3, "--tree"),
        (["apply", "--tree", ""], 2, "can't be empty"),
        (["inspect", ""], 2, "can't be empty"),
        (["apply", "--site-packages", "/nonexistent"], 2, ".venv/bin/python"),
        (["apply", "--tree", ".", "--source", "git"], 2, "fresh checkout"),
        (["lint", "--", "x"], 2, "only `run`"),
        (["apply", "--tree", ".", "--site-packages", "python"], 2, "not allowed"),
        (["export", "--mbox", "/nonexistent/x/y.mbox"], 4, "permission"),
        (["status", "--base", "x"], 2, "1.0.0"),
        (["apply", "--base", ""], 2, "1.0.0"),
        (["install", "--base", "v1.0.0", "--python", "python"], 2, "leave --base out"),
    ],
)
def test_bad_input_is_one_sentence_and_a_remedy(
    patcher: Run, arguments: list[str], code: int, words: str
) -> None:
    if arguments[:1] == ["export"] and os.geteuid() == 0:
        arguments = ["export", "--mbox", "/proc/x/y.mbox"]
        code, words = 4, ""
    done = patcher(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if code != 2:
        assert "to do: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["apply", "--frob"], "unrecognized arguments: --frob"),
        (["log", "extra"], "unrecognized arguments: extra"),
        (["lint", "--", "x"], "only `run` passes arguments on: x"),
        (["move", "a"], "required: --after"),
        (["run", "distilled", "--frob"], "unrecognized arguments: --frob"),
    ],
)
def test_a_mistake_at_a_verb_shows_the_usage_of_that_verb(
    patcher: Run, arguments: list[str], words: str
) -> None:
    done = patcher(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: ltx2-patcher {arguments[0]} [-h]")
    assert done.stderr.splitlines()[-1].startswith(f"ltx2-patcher {arguments[0]}: error: ")
    assert words in done.stderr and "VERB" not in done.stderr


@pytest.mark.parametrize(
    ("place", "teller"),
    [("--tree", "the tree"), ("--site-packages", "the environment"), (None, None)],
)
def test_a_base_of_no_such_name_may_be_left_out_where_the_place_tells_it(
    patcher: Run, tmp_path: Path, place: str | None, teller: str | None
) -> None:
    for verb in ("apply", "status", "unapply"):
        done = patcher(verb, "--base", "v1.0.0", *([place, tmp_path] if place else []))
        remedy = done.stderr.partition("to do: ")[2]
        assert done.returncode == 2 and "1.0.0" in remedy
        assert ("leave --base out" in remedy) == (teller is not None)
        assert teller is None or teller in remedy


def test_a_copy_of_the_tool_without_its_patches_says_so(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ltx2_patcher", tmp_path / "ltx2_patcher")
    done = subprocess.run(
        [sys.executable, "-m", "ltx2_patcher", "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5 and "clone of this repository" in done.stderr


def test_output_that_can_not_be_written_is_no_traceback(patcher: Run, tree: Path) -> None:
    command = [sys.executable, "-m", "ltx2_patcher", "status", "--tree", str(tree)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=-1, text=True, check=False)
    assert (done.returncode, "can't be written" in done.stderr) == (4, True)
    odd = tree.with_name("t\u00f6 \u4f60")
    shutil.copytree(tree, odd)
    done = subprocess.run(
        [*command[:-1], str(odd)],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    ("verb", "closed", "code", "words"),
    [
        ("log", ">&-", 4, "can't be written"),
        ("--help", ">&-", 4, "can't be written"),
        ("--help", ">/dev/full", 4, "can't be written"),
        ("export --mbox -", ">&-", 4, "can't be written"),
        ("log", ">&- 2>&- <&-", 4, ""),
        ("log --base none", "2>&-", 2, ""),
        ("new a --message -", "<&-", 5, "not one line of subject"),
    ],
)
def test_streams_that_are_closed_are_no_traceback(
    verb: str, closed: str, code: int, words: str
) -> None:
    command = f'exec "$0" -m ltx2_patcher {verb} {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=ROOT,
        # Unbuffered, argparse itself swallows what goes wrong with a help.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
    assert done.stdout == ""


def test_a_home_that_is_nobodys_is_a_name_like_any_other(patcher: Run, tmp_path: Path) -> None:
    for arguments in (
        ("status", "--tree", "~nobody-of-that-name/x"),
        ("inspect", "~nobody-of-that-name/x"),
        ("new", "a", "--message", "~nobody-of-that-name/x"),
    ):
        done = patcher(*arguments)
        assert done.returncode in {2, 3}, done.stderr
        assert "~nobody-of-that-name/x" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv drops root's privileges")
@pytest.mark.parametrize("locked", ["vendor", "vendor/upstream.git", "vendor/LTX-2-1.0.0/.git"])
def test_a_place_that_can_not_be_looked_at_is_a_sentence(
    tmp_path: Path, published: Path, locked: str
) -> None:
    root = tmp_path / "repository"
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "vendor/upstream.git").mkdir(parents=True)
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    shutil.copytree(published, root / f"vendor/LTX-2-{BASE}", symlinks=True)
    (root / locked).chmod(0)
    prefix: list[str] = []
    if os.geteuid() == 0:  # root looks everywhere unless it gives that up
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    for verb in (["rebase"], ["export", "--dry-run"], ["export", "--check"], ["status"], ["run"]):
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "ltx2_patcher", *verb],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, (verb, done.stderr)
        if done.returncode:
            assert "to do: " in done.stderr, (verb, done.stderr)
    (root / locked).chmod(0o755)


CHECKOUT = f"vendor/LTX-2-{BASE}"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv drops root's privileges")
@pytest.mark.parametrize(
    ("locked", "verb"),
    [
        ("vendor/upstream.toml", "log"),
        (f"patches/{BASE}/lock.json", "log"),
        (f"patches/{BASE}/series", "log"),
        ("patches/overlay/packages", "log"),
        (f"{CHECKOUT}/.git/HEAD", "export"),
        (f"{CHECKOUT}/.git/objects", "unapply"),
        (f"{CHECKOUT}/packages/ltx-core/src/ltx_core/loader", "status"),
        (f"{CHECKOUT}/packages/ltx-core/src/ltx_core/loader", "export"),
        (f"{CHECKOUT}/packages/ltx-pipelines/src/ltx_pipelines/distilled.py", "run"),
        ("model.safetensors", "inspect model.safetensors"),
        ("gemma/part", "inspect gemma"),
    ],
)
def test_what_can_not_be_read_is_named_and_to_be_made_readable(
    tmp_path: Path, published: Path, locked: str, verb: str
) -> None:
    root = tmp_path / "repository"
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    shutil.copytree(published, root / CHECKOUT, symlinks=True)
    (root / "model.safetensors").write_bytes(b"x" * 20)
    (root / "gemma/part").mkdir(parents=True)
    mode = (root / locked).stat().st_mode
    (root / locked).chmod(0)
    prefix: list[str] = []
    if os.geteuid() == 0:  # root reads everything unless it gives that up
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*prefix, sys.executable, "-B", "-m", "ltx2_patcher", *verb.split()],
        cwd=root,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    (root / locked).chmod(mode)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert locked in done.stderr and "to do: make it readable for you" in done.stderr


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_lies_in_a_checkouts_place_is_named(tmp_path: Path, kind: str) -> None:
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", tmp_path / "vendor")
    place = tmp_path / CHECKOUT
    if kind == "file":
        place.write_text("mine\n")
    elif kind == "link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        place.mkdir()
        (place / "mine").write_text("mine\n")
    for verb in (["apply"], ["status"], ["unapply"], ["export"]):
        done = subprocess.run(
            [sys.executable, "-B", "-m", "ltx2_patcher", *verb],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, (verb, done.stderr)
        assert f"{place} is in the way" in done.stderr
        assert "to do: move it away, then run `make patch`" in done.stderr
