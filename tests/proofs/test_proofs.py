"""What was proved elsewhere was proved of this code, and only a change of code says otherwise."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.blobs import blob_id
from tests.proofs.__main__ import main
from tests.proofs.check import Repository, baselines, entries
from tests.proofs.record import FOLDER, REPLAY, ROOT, hooks_digest, proof_digest
from verify.upstream.measured_code import KINDS, measured_code

BASES = [base.name for base in Store(ROOT).bases()]
RUNS = {f"{FOLDER}/{base}-history.json" for base in BASES}
CORE = "packages/ltx-core/src/ltx_core"
GEMMA = f"{CORE}/text_encoders/gemma/quantized"
CONNECTORS = "load_the_transformer_without_the_connectors.patch"
FUSE = "fuse_loras_into_fp8_weights_below_capability_8_9.patch"


def test_what_was_proved_was_proved_of_this_code() -> None:
    stale = Repository.at(ROOT).stale_proofs()
    assert not stale, "\n".join(one.text for one in stale)


def test_every_measurement_says_what_it_is_of() -> None:
    assert {path.stem.split("-")[0] for path in baselines(ROOT)} <= KINDS.keys()
    assert all(entry["code"] for path in baselines(ROOT) for entry in entries(path))


def test_every_base_fuses_on_a_gpu_as_its_patch_says() -> None:
    """Three were measured; the patches of all change the same lines to the same."""
    measured = {path.name.split("-nvidia")[0] for path in baselines(ROOT)}
    assert measured >= {"ampere-2026-01-08", "ampere-1.0.0", "ampere-1.2.0"}
    assert len({_own_lines(base) for base in BASES}) == 1


def _own_lines(base: str) -> tuple[tuple[bytes, ...], ...]:
    """What the patch that fuses below capability 8.9 takes out and puts in."""
    (patch,) = (patch for patch in Store(ROOT).series(base).patches if patch.name == FUSE)
    (diff,) = patch.diffs
    return tuple(lines for edit in diff.edits for lines in (edit.old, edit.new))


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what proofs are of and of the proofs, each renewed; to be copied."""
    root = tmp_path_factory.mktemp("renewed")
    shutil.copytree(ROOT / "patches", root / "patches")
    for path in [*baselines(ROOT), *(ROOT / FOLDER).glob("*.json"), Store(ROOT).pins_file]:
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    here = Repository.at(root)
    hooks = {}
    for base in Store(root).bases():
        series = here.series[base.name]
        path = root / FOLDER / f"{base.name}-history.json"
        path.write_text(json.dumps({"date": "today", "digest": proof_digest(base, series)}))
        hooks[base.name] = hooks_digest(base, series)
    (root / FOLDER / REPLAY).write_text(json.dumps({"date": "today", "digests": hooks}))
    for path in baselines(root):
        kind = path.stem.split("-")[0]
        held = [{**e, "code": measured_code(here.series[e["base"]], kind)} for e in entries(path)]
        path.write_text(json.dumps(held))
    assert not here.stale_proofs() and not here.stale_measurements()
    return root


@pytest.fixture
def repository(tmp_path: Path, renewed: Path) -> Path:
    return Path(shutil.copytree(renewed, tmp_path / "repository"))


def change(root: Path, name: str, edit: Callable[[str], str]) -> None:
    """Change the files of that name below patches/, and every lock that names their content."""
    files = list((root / "patches").rglob(name))
    assert files
    for file in files:
        before = file.read_bytes()
        after = edit(before.decode()).encode()
        assert after != before
        file.write_bytes(after)
        for lock in (root / "patches").rglob("*.json"):
            text = lock.read_text("utf-8").replace(blob_id(before), blob_id(after))
            text = text.replace(_sha256(before), _sha256(after))
            lock.write_text(text, "utf-8")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stale(root: Path) -> tuple[set[str], set[str]]:
    """The files of the stale proofs, and of the stale measurements."""
    here = Repository.at(root)
    proofs, measurements = here.stale_proofs(), here.stale_measurements()
    return {one.path for one in proofs}, {one.path for one in measurements}


def measurements_of(path: str) -> set[str]:
    """The files of those that list a module of the overlay."""
    kinds = {name for name, kind in KINDS.items() if path in kind.overlay}
    files = (file.relative_to(ROOT) for file in baselines(ROOT))
    return {file.as_posix() for file in files if file.stem.split("-")[0] in kinds}


def with_other_message(source: str) -> str:
    """Reword the string in the first `raise` that has one."""
    lines = source.splitlines(keepends=True)
    text = next(
        node
        for statement in ast.walk(ast.parse(source))
        if isinstance(statement, ast.Raise)
        for node in ast.walk(statement)
        if isinstance(node, ast.JoinedStr)
    )
    line = lines[text.lineno - 1]
    head, quote, tail = line[: text.col_offset], 'f"', line[text.col_offset + 2 :]
    lines[text.lineno - 1] = f"{head}{quote}in other words: {tail}"
    return "".join(lines)


def with_other_docstring(source: str) -> str:
    return source.replace('"""', '"""In other words: ', 1)


def with_comments(text: str) -> str:
    """One more behind a line of code, of a module or a patch, and one alone in a module."""
    text = re.sub(r"(?m)^(import|\+ .*)$", r"\1  # noqa: F401 - a reason", text, count=1)
    return text.replace("\n\n\n", "\n\n\n# Why.\n", 1)


def with_other_why(patch: str) -> str:
    return patch.replace("\nIt can go", "\nThat is why.\n\nIt can go", 1)


def test_words_stale_nothing(repository: Path) -> None:
    header = f"{GEMMA}/header.py"
    for module in (header, f"{GEMMA}/errors.py", "bitsandbytes_layers.py", "gemma_flags.py"):
        change(repository, module, with_other_docstring)
        change(repository, module, with_comments)
    change(repository, header, with_other_message)
    change(repository, "four_bit.py", lambda text: re.sub("  # noqa: .*", "", text, count=1))
    change(repository, CONNECTORS, with_other_why)
    change(repository, CONNECTORS, with_comments)
    assert stale(repository) == (set(), set())


@pytest.mark.parametrize(
    "module", [f"{GEMMA}/methods/bitsandbytes_layers.py", f"{GEMMA}/errors.py"]
)
def test_a_statement_of_the_overlay_stales_every_run_and_what_lists_it(
    repository: Path, module: str
) -> None:
    change(repository, module.rsplit("/", 1)[1], lambda source: source + "\nADDED = True\n")
    assert stale(repository) == (RUNS, measurements_of(module))


@pytest.mark.parametrize(
    ("name", "base", "beginnings"),
    [
        ("decode_with_the_diffusion_vae_without_cuda.patch", "1.2.0", ()),
        ("let_the_video_encoder_go_while_denoising.patch", "1.0.0", ("perf", "vram-1.0.0")),
    ],
)
def test_a_hook_of_one_base_stales_what_is_of_that_base(
    repository: Path, name: str, base: str, beginnings: tuple[str, ...]
) -> None:
    """Its run, the replay, which is of every base, and what that hook's memory was measured in."""
    change(repository, name, lambda text: re.sub(r"(?m)^(\+ .*)$", r"\1; added()", text, count=1))
    here = Repository.at(repository)
    assert {(one.path, one.renew) for one in here.stale_proofs()} == {
        (f"{FOLDER}/{base}-history.json", f"python -m tests.runner --base {base}"),
        (f"{FOLDER}/{REPLAY}", "python -m tests.replay"),
    }
    measured = {
        (one.path.rsplit("/", 1)[1], one.why.split()[0]) for one in here.stale_measurements()
    }
    assert measured == {
        (path.name, name) for path in baselines(ROOT) if path.name.startswith(beginnings)
    }


def test_a_pin_stales_the_run_alone() -> None:
    base, series = Store(ROOT).base("1.2.0"), Store(ROOT).series("1.2.0")
    other = replace(base, environment={**base.environment, "torch": "2.99.0"})
    assert proof_digest(other, series) != proof_digest(base, series)
    assert hooks_digest(other, series) == hooks_digest(base, series)


def test_a_release_is_told_what_is_stale_and_what_renews_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(repository) == 0
    assert "every proof" in capsys.readouterr().out
    change(repository, "bitsandbytes_layers.py", lambda source: source + "\nADDED = True\n")
    assert main(repository) == 1
    told = capsys.readouterr().out
    assert "renew: python -m tests.runner --base 2026-01-08\n" in told
    assert re.search(r"layers.py changed .*\n  renew: on NVIDIA .* -m verify.campaigns.vram", told)
    others = {"ampere", "int8", "int8_errors", "int8_resources", "parked", "service"}
    loading = [path for path in baselines(ROOT) if path.name.split("-")[0] not in others]
    listed = [entry for path in loading for entry in entries(path)]
    assert told.endswith(f"{len(RUNS) + len(listed)} stale\n")
