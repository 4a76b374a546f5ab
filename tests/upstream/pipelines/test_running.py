"""What the verbs say and do with file sets that upstream's own classes named."""

import os
import re
import subprocess
import sys
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image
from tokenizers import Tokenizer

from ltx2_patcher.boundaries.sounds import sounds_of
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.weights import read_header
from ltx2_patcher.jobs.launch.doctor import Subject, examine
from ltx2_patcher.jobs.launch.pipelines import pipelines_in
from ltx2_patcher.jobs.launch.script import Launch, find_script
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.inspect import inspect, inspect_checkpoint, inspect_gemma
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.abilities import patched, stated
from ltx2_patcher.rules.models.architecture import checkpoint_keys, duration_head_keys
from ltx2_patcher.rules.models.pairing import refusal_of, refusal_of_pair
from ltx2_patcher.rules.models.request import parse_argv
from ltx2_patcher.rules.models.variant import configuration
from ltx2_patcher.values.abilities import Abilities
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.finding import Finding, Level
from ltx2_patcher.values.weights import Lora, ModelPart, Upsampler
from tests.small_gpu import RTX_3090, write_nvidia_smi
from tests.upstream.cases import Case, Mode, command_line
from tests.upstream.conftest import BASE, DATE, FileSets
from tests.upstream.pipelines.cases import VARIANTS
from tests.upstream.pipelines.conftest import GemmaRoots
from verify.synthetic.abilities import layouts
from verify.synthetic.files import FileSet, Layout
from verify.upstream.command_line import Gemma
from verify.upstream.process import Pipelines
from verify.upstream.tree import core_of

NAMES = {"2.0": "LTX-2 19B", "2.3": "LTX-2.3 22B", "2.5": "LTX-2.5 22B"}
LAYOUTS = layouts(core_of(Path(os.environ["LTX2_UPSTREAM_TREE"])))
NEWEST = VARIANTS[-1]


@pytest.fixture(scope="session")
def base(store: Store) -> Base:
    """The base under test."""
    return store.base(BASE)


def _case(layout: Layout = Layout.MONOLITH, gemma: Gemma = Gemma.FLAG_4BIT) -> Case:
    return Case("distilled", Mode.T2V, gemma, NEWEST, layout=layout)


def _prepare(store: Store, base: Base, name: str, arguments: list[str]) -> Launch:
    script = find_script(store, base, name, python=Path(sys.executable))
    request = parse_argv(script.target.pipeline, arguments)
    return script.launch(admit(request, script.target).request, os.environ)


def _argv(case: Case, files: FileSet, folder: Path, tree: Path) -> list[str]:
    """The words behind the script's name for a clip in `folder`."""
    return command_line(case, files, files.gemma_root, None, folder / "clip.mp4", tree=tree)


def _every(store: Store) -> tuple[Abilities, ...]:
    return tuple(map(stated, store.bases()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.value)
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_name_of_upstream_is_missing_or_unknown(
    fileset: FileSets, variant: str, layout: Layout, store: Store, base: Base
) -> None:
    files = fileset(variant, layout)
    checkpoint = inspect_checkpoint(files.transformer)
    assert checkpoint.name == f"{NAMES[variant]} with 2 layers"
    assert checkpoint.whole is (layout is Layout.MONOLITH)
    gemma = inspect_gemma(files.text_encoder)
    assert (gemma.quantization, gemma.packed) == (None, layout is Layout.SPLIT)
    for found in (checkpoint, gemma):
        assert refusal_of(found, stated(base), _every(store), "a file") is None
        assert "other" not in {part.name for part in found.components}
    assert refusal_of_pair(checkpoint, gemma) is None
    assert isinstance(inspect(files.distilled_lora), Lora)
    assert isinstance(inspect(files.spatial_upsampler), Upsampler)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_whole_checkpoint_has_the_names_that_we_expect(fileset: FileSets, variant: str) -> None:
    header = read_header(fileset(variant).checkpoint)
    names = header.tensors.keys() - duration_head_keys()
    expected = checkpoint_keys(configuration(header, "a file"))
    assert expected <= names
    # January's VAE holds statistics that it never reads.
    assert all(name.startswith("vae.per_channel_statistics.") for name in names - expected)


@pytest.mark.revisions(since="2026-08-11")
def test_the_parts_of_a_split_model_are_told(fileset: FileSets, store: Store, base: Base) -> None:
    files = fileset("2.5", Layout.SPLIT)
    told = {}
    for path in (files.video_vae, files.audio_vae, files.duration_head):
        found = inspect(path)
        assert isinstance(found, ModelPart)
        assert refusal_of(found, stated(base), _every(store), str(path)) is None
        told[path.stem] = found.name
    assert told == {
        "video_vae": "video VAE (diffusion decoder)",
        "audio_vae": "audio VAE",
        "duration_head": "duration head",
    }


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Gemma.PREQUANTIZED_4BIT, "4bit"), (Gemma.PREQUANTIZED_8BIT, "8bit")],
)
def test_a_root_that_our_script_quantized_is_told(
    gemma_root: GemmaRoots, kind: Gemma, told: str, store: Store, base: Base
) -> None:
    gemma = inspect_gemma(gemma_root(NEWEST, kind))
    assert (gemma.quantization, gemma.missing, gemma.faults) == (told, (), ())
    assert refusal_of(gemma, stated(base), _every(store), "root") is None


def test_every_script_is_listed_with_what_it_is_for(store: Store, base: Base) -> None:
    found = {pipeline.name: pipeline for pipeline in pipelines_in(checkout_path(store, base))}
    assert all(pipeline.summary for pipeline in found.values())
    assert {"distilled", "ti2vid_two_stages", "ic_lora", "quantize_gemma"} <= found.keys()
    assert found["distilled"].divisor == 64
    split = "--transformer-path" in found["distilled"].options
    assert split is (Layout.SPLIT in LAYOUTS)
    several = {name for name, pipeline in found.items() if pipeline.several_gpus}
    assert several == {name for name in found if name.endswith("_mgpu")}
    assert all(found[name].divisor == 64 for name in several)


@pytest.mark.core
@pytest.mark.revisions(since="2026-03-05")
def test_the_sizes_of_itself_of_each_script_are_told(
    store: Store, base: Base, patched: Pipelines
) -> None:
    for pipeline in pipelines_in(checkout_path(store, base)):
        if pipeline.makes == "video" and not pipeline.several_gpus:  # those have no main()
            shown = patched.run(f"ltx_pipelines.{pipeline.name}", ["--help"]).out
            told = re.findall(r"--(width|height) [A-Z]+\s[^-]*?\(default:\s*(\d+)\)", shown)
            sizes = {name: int(size) for name, size in told}
            expected = dict(zip(("width", "height"), pipeline.size or (), strict=False))
            assert sizes == expected, pipeline.name


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.value)
def test_run_renders_a_clip(
    layout: Layout,
    store: Store,
    base: Base,
    fileset: FileSets,
    patched_tree: Path,
    tmp_path: Path,
) -> None:
    case, files = _case(layout), fileset(NEWEST, layout)
    clip = tmp_path / "clip.mp4"
    argv = command_line(case, files, files.text_encoder, None, clip, tree=patched_tree)
    launch = _prepare(store, base, case.script, argv)
    done = subprocess.run(
        launch.argv, env=dict(launch.variables), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert clip.stat().st_size > 0


def _edited(argv: list[str], **given: Path | None) -> list[str]:
    """The arguments with some options' values changed, or the options taken away."""
    pairs = dict(zip(argv[0::2], argv[1::2], strict=False))
    flags = argv[len(pairs) * 2 :] if len(argv) % 2 else []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        pairs = {k: v for k, v in pairs.items() if k != option}
        if value is not None:
            pairs[option] = str(value)
    return [*(word for pair in pairs.items() for word in pair), *flags]


@pytest.mark.revisions(since="2026-08-11")
def test_what_does_not_go_with_ltx_2_5_is_refused(
    store: Store, base: Base, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    """In a sentence, before anything is loaded."""
    whole, split, old = fileset("2.5"), fileset("2.5", Layout.SPLIT), fileset("2.0")

    def argv(files: FileSet) -> list[str]:
        case = _case(files.layout, Gemma.PLAIN)
        return command_line(
            case, files, files.text_encoder, None, tmp_path / "clip.mp4", tree=patched_tree
        )

    refused: list[tuple[list[str], type[PatcherError], str]] = [
        (_edited(argv(whole), gemma_root=old.gemma_root), ConflictError, "Gemma 3 .* LTX-2.5"),
        (_edited(argv(old), gemma_root=whole.gemma_root), ConflictError, "Gemma 4 .* LTX-2 19B"),
        (
            _edited(argv(split), text_encoder_path=whole.gemma_root),
            ConflictError,
            "text projection",
        ),
        (
            _edited(argv(whole), spatial_upsampler_path=old.spatial_upsampler),
            ConflictError,
            "upsampler of LTX-2,",
        ),
        (
            _edited(argv(whole), distilled_checkpoint_path=split.transformer),
            UsageError,
            "transformer of LTX-2.5 22B alone",
        ),
        (_edited(argv(split), audio_vae_path=None), UsageError, "--audio-vae-path too"),
        (
            _edited(argv(split), audio_vae_path=split.video_vae),
            UsageError,
            "--audio-vae-path: .* is a video VAE",
        ),
        (_edited(argv(split), text_encoder_path=split.transformer), InvalidError, "no Gemma"),
        (_edited(argv(old), num_frames=None), UsageError, "no duration head"),
        ([*argv(whole), "--enhance-prompt"], UsageError, "can't write them"),
        (
            [*argv(whole), "--offload", "cpu", "--quantization", "fp8-scaled-mm"],
            UsageError,
            "--offload cpu",
        ),
    ]
    for arguments, kind, words in refused:
        with pytest.raises(kind, match=words):
            _prepare(store, base, "distilled", arguments)
    with pytest.raises(ConflictError, match="needs ltx-kernels"):
        _prepare(store, base, "distilled_mgpu", argv(split))
    _prepare(store, base, "distilled", _edited(argv(split), num_frames=None))
    _prepare(store, base, "distilled", _edited(argv(whole), video_vae_path=split.video_vae))
    enhanced = _edited(argv(whole), prompt_enhancer_gemma_root=old.gemma_root)
    _prepare(store, base, "distilled", [*enhanced, "--enhance-prompt"])


@pytest.mark.revisions(before="2026-03-30")
def test_a_base_takes_its_own_words_for_fp8(
    store: Store, base: Base, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    """Nothing of a later base's is asked of it."""
    files = fileset(NEWEST)
    argv = _argv(_case(), files, tmp_path, patched_tree)
    words = ["--enable-fp8"] if DATE < "2026-02-09" else ["--quantization", "fp8-cast"]
    launched = _prepare(store, base, "distilled", [*argv, *words]).argv
    at = launched.index(words[0])
    assert launched[at : at + len(words)] == tuple(words)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.value)
def test_doctor_judges_the_base_and_names_its_flags(
    layout: Layout,
    store: Store,
    base: Base,
    fileset: FileSets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a card that stands in PATH only, so what torch finds is left out of the judgement."""
    card = write_nvidia_smi(tmp_path / "bin", RTX_3090)
    monkeypatch.setenv("PATH", str(card), prepend=os.pathsep)
    files = fileset(NEWEST, layout)
    subject = Subject(
        replace(base, url=str(tmp_path)),  # nobody waits for a network
        python=Path(sys.executable),
        checkpoint=files.transformer,
        gemma_root=files.text_encoder,
    )
    found: dict[str, Finding] = {f.subject: f for f in examine(store, subject)}
    judged = ("patches", "torch", "transformers", "bitsandbytes", "checkpoint", "gemma", "pair")
    assert {name: found[name].level for name in judged} == dict.fromkeys(judged, Level.OK)
    assert found["checkpoint"].fact.startswith(f"{NAMES[NEWEST]} with 2 layers")
    assert found["flags"].fact.startswith("no flags needed")
    cast = "--enable-fp8" if DATE < "2026-02-09" else "--quantization fp8-cast"
    assert f"denoising {cast}" in found["flags"].fact
    parks = patched(base).parks_weights
    assert ("--offload cpu" in found["flags"].fact) is (DATE >= "2026-05-28" and not parks)
    assert ("--vram-budget auto" in found["parked weights"].fact) is parks


def test_a_picture_that_no_script_can_use_is_refused(
    store: Store, base: Base, fileset: FileSets, image: Path, patched_tree: Path, tmp_path: Path
) -> None:
    """A cut one, one of another kind, one that is none, and one too small to be encoded."""
    files = fileset(NEWEST)
    argv = _argv(_case(), files, tmp_path, patched_tree)
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:-200])
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "notes.png").write_text("no picture")
    Image.new("RGB", (1, 40)).save(tmp_path / "line.png")
    Image.new("CMYK", (40, 40)).save(tmp_path / "print.jpg")
    for name, told in (
        ("cut.png", "can't be opened: "),
        ("phone.heic", "can't be opened: cannot identify"),
        ("notes.png", "can't be opened: cannot identify"),
        ("line.png", "is 1x40 pixels"),
    ):
        with pytest.raises(UsageError) as caught:
            _prepare(store, base, "distilled", [*argv, "--image", str(tmp_path / name), "0", "1"])
        assert f"--image: {tmp_path / name} {told}" in str(caught.value)
    still = tmp_path / "notes.png"
    still = still.rename(still.with_suffix(".exr"))
    exr = [*argv, "--image", str(still), "0", "1"]
    if DATE < "2026-08-16":
        with pytest.raises(UsageError, match="can't be opened: cannot identify"):
            _prepare(store, base, "distilled", exr)
    else:
        _prepare(store, base, "distilled", exr)
    for right in (image, tmp_path / "print.jpg"):
        _prepare(store, base, "distilled", [*argv, "--image", str(right), "0", "1"])


def test_a_prompt_that_upstream_cuts_is_warned_of(
    store: Store, base: Base, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    """Counted by the root's own tokenizer, whose vocabulary decides."""
    files = fileset(NEWEST)
    argv = _argv(_case(), files, tmp_path, patched_tree)
    tokenizer = Tokenizer.from_file(str(next(files.gemma_root.rglob("tokenizer.json"))))
    script = find_script(store, base, "distilled", python=Path(sys.executable))
    for words in (10, 3000):
        prompt = "fox " * words
        given = [*argv, "--prompt", prompt]  # the last one counts
        found = admit(parse_argv(script.target.pipeline, given), script.target).warnings
        count = len(tokenizer.encode(prompt).ids)
        said = [one.fact for one in found if one.subject == "prompt"]
        assert said == [f"the prompt has {count} tokens, and only the first 1024 are read"] * (
            count > 1024
        )
        assert (count > 1024) is (words == 3000)


def test_the_rate_of_a_video_is_read_by_pyav(tmp_path: Path) -> None:
    video, sound = tmp_path / "a.mp4", tmp_path / "a.wav"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24000, 1001))
        stream.width = stream.height = 64
        for _ in range(9):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(64000))
    found = sounds_of(Path(sys.executable), [video, sound])
    assert [one.frame_rate for one in found] == [24000 / 1001, None]
    assert [one.channels for one in found] == [0, 2]


@pytest.mark.revisions(since="2026-03-04")
def test_a_sound_that_no_script_can_use_is_refused(
    store: Store, base: Base, fileset: FileSets, patched_tree: Path, tmp_path: Path
) -> None:
    """Told by the environment's own PyAV: one channel, none, too short, no sound file at all."""

    def sound(name: str, channels: int, seconds: float) -> None:
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(bytes(2 * channels * int(16000 * seconds)))

    sound("right.wav", 2, 3.0)
    sound("mono.wav", 1, 3.0)
    sound("short.wav", 2, 0.5)
    (tmp_path / "notes.wav").write_text("no sound")
    case = replace(_case(), script="a2vid_two_stage")
    files = fileset(NEWEST)
    argv = _argv(case, files, tmp_path, patched_tree)
    at = argv.index("--audio-path") + 1 if "--audio-path" in argv else None
    for name, said in (
        ("right.wav", None),
        ("mono.wav", "has 1 channels, and the model takes 2"),
        ("short.wav", "gives 0.5 s from 0 s on"),
        ("notes.wav", "can't be opened: "),
    ):
        path = str(tmp_path / name)
        given = [*argv[:at], path, *argv[at + 1 :]] if at else [*argv, "--audio-path", path]
        given += ["--num-frames", "49", "--frame-rate", "24"]
        if said is None:
            _prepare(store, base, case.script, given)
            continue
        with pytest.raises(UsageError) as caught:
            _prepare(store, base, case.script, given)
        assert f"--audio-path: {path} {said}" in str(caught.value)
