"""Command lines of upstream's scripts: what each takes, spelled as the revision in a tree does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.upstream.command_line import (
    AUDIO_VAE,
    CHECKPOINT,
    DISTILLED_CHECKPOINT,
    FP8_CAST,
    GEMMA,
    LORA,
    PARTS,
    TEXT_ENCODER,
    TRANSFORMER,
    UPSAMPLER,
    ClipShape,
    Gemma,
    Keyframe,
    command_line,
    models_of,
    required_models,
)

ALL = (DISTILLED_CHECKPOINT, CHECKPOINT, GEMMA, UPSAMPLER, LORA, TRANSFORMER, TEXT_ENCODER, *PARTS)
WHOLE = {flag: Path(f"/{flag}") for flag in ALL[:5]}
SHAPE = ClipShape(768, 512, 121, steps=2)


SCRIPTS = {"distilled": "parser(distilled=True)", "ti2vid_two_stages": "parser()"}


def upstream(folder: Path, *flags: str) -> Path:
    """A tree whose scripts take these flags."""
    (folder / "packages/ltx-core/src").mkdir(parents=True)
    scripts = folder / "packages/ltx-pipelines/src/ltx_pipelines"
    (scripts / "utils").mkdir(parents=True)
    options = "".join(f'parser.add_argument("{flag}")\n' for flag in flags)
    (scripts / "utils/args.py").write_text(options)
    for name, call in SCRIPTS.items():
        lines = (
            "from ltx_pipelines.utils.args import parser",
            call,
            'if __name__ == "__main__": main()',
            "",
        )
        (scripts / f"{name}.py").write_text("\n".join(lines))
    return folder


def words(tree: Path, script: str, *flags: str) -> list[str]:
    return command_line(
        tree,
        script,
        WHOLE,
        SHAPE,
        prompt="a fox",
        seed=7,
        out=Path("clip.mp4"),
        keyframes=[Keyframe(Path("a.png"), 0), Keyframe(Path("b.png"), 120, 0.8)],
        flags=flags,
    )


def test_a_newer_revision_has_each_flag_as_it_is(tmp_path: Path) -> None:
    tree = upstream(tmp_path, DISTILLED_CHECKPOINT, "--quantization")
    argv = words(tree, "distilled", "--gemma-4bit", *FP8_CAST)
    given = dict(pairwise(argv))
    assert given[DISTILLED_CHECKPOINT] == f"/{DISTILLED_CHECKPOINT}"
    assert (given["--width"], given["--height"], given["--num-frames"]) == ("768", "512", "121")
    assert (given["--frame-rate"], given["--seed"], given["--prompt"]) == ("25", "7", "a fox")
    at = argv.index("--gemma-4bit")
    assert argv[at : at + 3] == ["--gemma-4bit", *FP8_CAST]
    assert not {LORA, CHECKPOINT, "--num-inference-steps"} & set(argv)
    at = argv.index("--image")
    assert argv[at : at + 8] == ["--image", "a.png", "0", "1.0", "--image", "b.png", "120", "0.8"]


def test_an_older_one_is_told_in_its_own_words(tmp_path: Path) -> None:
    tree = upstream(tmp_path, CHECKPOINT, "--enable-fp8")
    argv = words(tree, "distilled", *FP8_CAST)
    assert dict(pairwise(argv))[CHECKPOINT] == f"/{DISTILLED_CHECKPOINT}"
    assert "--enable-fp8" in argv
    assert not {DISTILLED_CHECKPOINT, *FP8_CAST} & set(argv)
    scaled = words(tree, "distilled", "--quantization", "fp8-scaled-mm")
    assert dict(pairwise(scaled))["--quantization"] == "fp8-scaled-mm"


def test_a_guided_script_takes_a_lora_and_steps(tmp_path: Path) -> None:
    given = dict(pairwise(words(upstream(tmp_path), "ti2vid_two_stages")))
    assert (given[CHECKPOINT], given[LORA]) == (f"/{CHECKPOINT}", f"/{LORA}")
    assert given["--num-inference-steps"] == "2"


@given(named=st.sets(st.sampled_from(ALL)), script=st.sampled_from(["distilled", "two_stages"]))
def test_a_script_is_given_what_is_named_and_it_takes(named: set[str], script: str) -> None:
    paths = {flag: Path(flag) for flag in named}
    taken = models_of(script, paths)
    required = required_models(script, paths)
    assert taken.keys() <= named
    assert set(required) & named <= taken.keys()
    assert taken.keys() - set(required) <= (set(PARTS) if TRANSFORMER in named else set())
    assert (AUDIO_VAE in taken) == ({AUDIO_VAE, TRANSFORMER} <= named)
    assert not {TRANSFORMER, CHECKPOINT, DISTILLED_CHECKPOINT} <= taken.keys()


@pytest.mark.parametrize("gemma", Gemma)
def test_only_a_flag_is_told_to_a_script(gemma: Gemma) -> None:
    assert gemma.flags == ((f"--gemma-{gemma.value}",) if gemma.name.startswith("FLAG") else ())
