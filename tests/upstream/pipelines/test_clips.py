"""The real scripts, patched, write clips that are whole; without flags, upstream's own."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.upstream.cases import SCRIPTS, Case, Mode, command_line
from tests.upstream.pipelines.cases import ALL, PAIRWISE, VARIANTS, WITH_GEMMA_3, plain
from tests.upstream.pipelines.conftest import Clips
from verify.clips.cases import TINY
from verify.clips.decoding import faults, read_clip
from verify.synthetic.files import FileSet
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines

OLDEST, NEWEST = VARIANTS[0], VARIANTS[-1]
FLAGS_OFF = (
    Case("distilled", Mode.I2V, Gemma.PLAIN, NEWEST),
    Case("ti2vid_two_stages", Mode.T2V, Gemma.PLAIN, OLDEST),
    Case("keyframe_interpolation", Mode.I2V, Gemma.PLAIN, NEWEST),
)


def _core(case: Case) -> list[pytest.MarkDecorator]:
    """One script plain and with a flag is shown in a short run too, also on other bases."""
    shown = case.script == "distilled" and case.gemma in {Gemma.PLAIN, Gemma.FLAG_4BIT}
    return [pytest.mark.core] if shown else []


def cases(chosen: Iterable[Case], every: Iterable[Case]) -> list[object]:
    """Parameters: `chosen` always, the rest of `every` under the marker `slow`."""
    always = list(chosen)
    rest = [case for case in every if case not in always]
    return [
        *(pytest.param(case, id=str(case), marks=_core(case)) for case in always),
        *(pytest.param(case, id=str(case), marks=pytest.mark.slow) for case in rest),
    ]


def test_the_table_holds_every_pair() -> None:
    """Any two columns, any two of their values: some row has both."""
    rows = [(case.script, case.mode, case.gemma, case.variant) for case in PAIRWISE]
    columns = (SCRIPTS, tuple(Mode), tuple(Gemma), VARIANTS)
    for a, b in combinations(range(len(columns)), 2):
        assert {(row[a], row[b]) for row in rows} == set(product(columns[a], columns[b]))


@pytest.mark.parametrize("case", cases(PAIRWISE, ALL))
def test_a_patched_script_writes_a_whole_clip(case: Case, patched_clip: Clips) -> None:
    """Codecs, frames, size and length are those asked for; picture and sound are not blank."""
    clip = read_clip(patched_clip(case))
    assert faults(clip, TINY) == []


@pytest.mark.parametrize("case", cases(FLAGS_OFF, (c for c in ALL if c.gemma is Gemma.PLAIN)))
def test_without_flags_the_clip_is_upstreams(
    case: Case, patched_clip: Clips, upstream_clip: Clips
) -> None:
    """Byte for byte."""
    assert patched_clip(case).read_bytes() == upstream_clip(case).read_bytes()


def test_seed_and_prompt_tell_in_the_clip(upstream_clip: Clips) -> None:
    """The control of the equalities here: another clip has other bytes."""
    case = FLAGS_OFF[1]
    others = [case, replace(case, seed=8), replace(case, prompt="Waves break on black rocks.")]
    assert len({upstream_clip(other).read_bytes() for other in others}) == len(others)


@pytest.mark.parametrize(
    "case", cases((c for c in PAIRWISE if c.gemma in (Gemma.FLAG_4BIT, Gemma.FLAG_8BIT)), ())
)
def test_a_flag_tells_in_the_clip(case: Case, patched_clip: Clips) -> None:
    """A flag that a script parses and drops would leave upstream's clip."""
    assert patched_clip(case).read_bytes() != patched_clip(plain(case)).read_bytes()


@pytest.mark.parametrize(
    ("flag", "root"),
    [
        (Gemma.FLAG_4BIT, Gemma.PREQUANTIZED_4BIT),
        (Gemma.FLAG_8BIT, Gemma.PREQUANTIZED_8BIT),
    ],
)
def test_a_prequantized_root_gives_the_clip_of_its_flag(
    flag: Gemma, root: Gemma, patched_clip: Clips
) -> None:
    """Quantizing once and quantizing at each start are the same."""
    case = Case("distilled", Mode.T2V, flag, NEWEST)
    assert patched_clip(case).read_bytes() == patched_clip(replace(case, gemma=root)).read_bytes()


@pytest.mark.parametrize(
    ("flag", "options"),
    [
        (
            Gemma.FLAG_4BIT,
            {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_use_double_quant": True,
                "bnb_4bit_compute_dtype": torch.bfloat16,
            },
        ),
        (Gemma.FLAG_8BIT, {"load_in_8bit": True}),
    ],
)
def test_a_root_that_transformers_saved_gives_the_clip_of_the_flag(
    flag: Gemma,
    options: dict[str, Any],
    patched: Pipelines,
    fileset: Callable[[str], FileSet],
    patched_clip: Clips,
    tmp_path: Path,
) -> None:
    """As people publish them; without a flag."""
    from transformers import BitsAndBytesConfig, Gemma3ForConditionalGeneration

    case = Case("distilled", Mode.T2V, flag, WITH_GEMMA_3)
    files, root, out = fileset(case.variant), tmp_path / "saved", tmp_path / "clip.mp4"
    config = BitsAndBytesConfig(**options)
    Gemma3ForConditionalGeneration.from_pretrained(
        files.gemma_root, quantization_config=config, dtype=torch.bfloat16
    ).save_pretrained(root)
    for file in files.gemma_root.iterdir():  # transformers 5 would write another tokenizer
        if file.name != "config.json" and not file.name.startswith("model"):
            shutil.copy(file, root)
    argv = command_line(plain(case), files, root, None, out, tree=patched.tree)
    done = patched.run(case.module, argv)
    assert done.code == 0, done.err
    assert out.read_bytes() == patched_clip(case).read_bytes()


@pytest.mark.slow
def test_enhance_prompt_works_with_a_quantized_gemma(
    patched: Pipelines,
    fileset: Callable[[str], FileSet],
    patched_clip: Clips,
    tmp_path: Path,
) -> None:
    """The script generates a prompt of its own, and makes another clip of it."""
    case = Case("ti2vid_two_stages", Mode.T2V, Gemma.FLAG_4BIT, WITH_GEMMA_3)
    files, out = fileset(case.variant), tmp_path / "enhanced.mp4"
    argv = command_line(case, files, files.gemma_root, None, out, tree=patched.tree)
    done = patched.run(case.module, [*argv, "--enhance-prompt"], timeout_s=300)
    assert done.code == 0, done.err
    assert read_clip(out).frames == TINY.frames
    assert out.read_bytes() != patched_clip(case).read_bytes()
