"""What can be told before a model is loaded is told; everything else is passed on untouched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.baselines import BASELINES
from ltx2_patcher.boundaries.environment import Environment, describe
from ltx2_patcher.boundaries.machine import mappable_bytes
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.batch import Batch, plan_batch
from ltx2_patcher.jobs.launch.install import environment_path
from ltx2_patcher.jobs.launch.pipelines import pipelines_in, source_paths
from ltx2_patcher.jobs.launch.script import Launch, find_script
from ltx2_patcher.jobs.models import looked as looking
from ltx2_patcher.jobs.models import model_files
from ltx2_patcher.jobs.models.gate import admit
from ltx2_patcher.jobs.models.looked import Looked
from ltx2_patcher.jobs.models.places import make_output_folder
from ltx2_patcher.jobs.models.target import Admitted
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.rules.models.architecture import checkpoint_keys, transformer_keys
from ltx2_patcher.rules.models.gemma_architecture import gemma_keys
from ltx2_patcher.rules.models.request import parse_argv, parse_mapping
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import (
    ConflictError,
    InvalidError,
    OutsideError,
    PatcherError,
    UsageError,
)
from tests.conftest import ROOT
from tests.small_gpu import H200, RTX_3090, write_nvidia_smi
from tests.small_repository import make_repository
from tests.small_wheels import make_environment
from tests.weight_files import (
    RELEASED,
    TINY_GEMMA,
    lora_of,
    packed_gemma,
    plain,
    write,
    write_checkpoint,
    write_gemma,
)

PROJECTION = "text_embedding_projection.aggregate_embed.weight"
LINEAR = "language_model.model.layers.0.mlp.up_proj"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Store:
    """A patched checkout and an environment beside it."""
    root = tmp_path_factory.mktemp("ready") / "repository"
    store = make_repository(root, published, base)
    make_environment(environment_path(store, base), base.environment)
    return store


def prepare(
    store: Store,
    base: Base,
    name: str,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    python: Path | None = None,
    gpu: int | None = None,
) -> Launch:
    script = find_script(store, base, name, python=python, gpu=gpu)
    request = parse_argv(script.target.pipeline, arguments)
    return script.launch(admit(request, script.target).request, variables)


@dataclass(frozen=True)
class Case:
    """A request that is right in every point."""

    store: Store
    base: Base
    folder: Path

    def prepare(
        self, *more: str, name: str = "distilled", python: Path | None = None, **variables: str
    ) -> Launch:
        return prepare(self.store, self.base, name, [*self.right, *more], variables, python=python)

    @property
    def right(self) -> Sequence[str]:
        named = {
            "distilled-checkpoint-path": "model.safetensors",
            "gemma-root": "gemma",
            "spatial-upsampler-path": "upsampler.safetensors",
            "output-path": "clip.mp4",
        }
        paths = [word for k, v in named.items() for word in (f"--{k}", str(self.folder / v))]
        return [*paths, "--prompt", "a cat"]


@pytest.fixture
def case(ready: Store, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    write_gemma(tmp_path / "gemma")
    write(tmp_path / "upsampler.safetensors", plain(["post_upsample_res_blocks.0.conv1.weight"]))
    write(tmp_path / "lora.safetensors", lora_of("diffusion_model.transformer_blocks.0.attn1.to_q"))
    kohya = {"lora_unet_transformer_blocks_99_attn1_to_q.lora_down.weight": ("BF16", (1, 2))}
    write(tmp_path / "kohya.safetensors", kohya)
    return Case(ready, base, tmp_path)


def test_every_script_of_upstream_is_listed(ready: Store, base: Base) -> None:
    found = {pipeline.name: pipeline for pipeline in pipelines_in(checkout_path(ready, base))}
    assert found["distilled"].divisor == 64
    assert found["ti2vid_one_stage"].divisor == 32
    assert found["retake"].divisor is None
    without = {name for name in found if "--vram-budget" not in found[name].options}
    assert without == {"quantize_gemma", "echo"}
    assert {
        "quantize_gemma",
        "keyframe_interpolation",
        "ti2vid_two_stages",
        "ic_lora",
    } <= found.keys()
    assert all(pipeline.summary for pipeline in found.values())


def test_a_right_request_is_passed_on(case: Case) -> None:
    more = ("--num-frames", "121", "--gemma-4bit", "--lora", str(case.folder / "lora.safetensors"))
    launch = case.prepare(*more, LANG="C", PYTHONPATH="/theirs")
    python = environment_path(case.store, case.base) / "bin/python"
    assert launch.argv[0] == str(python)
    assert launch.argv[3:5] == ("-m", "ltx_pipelines.distilled")
    assert sorted(launch.argv[5:]) == sorted((*case.right, *more))
    sources = map(str, source_paths(checkout_path(case.store, case.base)))
    path = os.pathsep.join([*sources, str(ROOT / "ltx2_patcher/launched"), "/theirs"])
    assert launch.variables == {"LANG": "C", "PYTHONPATH": path}


IDLE = (
    (
        "transformers.models.auto.image_processing_auto",
        "Using a slow image processor as `use_fast` is unset",
    ),
    ("transformers.processing_utils", "Using a slow image processor as `use_fast` is unset and a"),
    (
        "bitsandbytes.backends.cpu.ops",
        "Failed to load CPU gemm_4bit_forward from kernels-community",
    ),
)


def test_a_started_script_keeps_back_lines_that_mean_nothing_and_no_other(
    case: Case, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/sitecustomize.py").write_text("print('their own start')\n")
    launch = case.prepare(PYTHONPATH=str(tmp_path / "theirs"))
    logs = [(logger, f"{line}: %s") for logger, line in IDLE]
    logs += [(logger, "a real failure: %s") for logger, _ in IDLE] + [("root", IDLE[0][1])]
    code = (
        "import logging, sys\n"
        "logging.basicConfig(format='%(message)s')\n"
        f"for logger, line in {logs!r}:\n"
        "    logging.getLogger(logger).warning(line.replace('%s', 'x'))\n"
        "assert not [folder for folder in sys.path if folder.endswith('launched')]\n"
    )
    done = subprocess.run(
        [launch.argv[0], "-c", code],
        env=dict(launch.variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "their own start\n"
    assert done.stderr.splitlines() == ["a real failure: x"] * len(IDLE) + [IDLE[0][1]]


@pytest.mark.parametrize(("hides", "shown"), [({"LTX2_HIDES_PROMPTS": "1"}, []), ({}, ["a fox"])])
def test_a_started_script_keeps_prompts_to_itself_where_it_is_told_to(
    case: Case, hides: dict[str, str], shown: list[str]
) -> None:
    launch = case.prepare()
    code = (
        "import logging\n"
        "logging.basicConfig(format='%(message)s', level='INFO')\n"
        "logging.info(f'Enhanced prompt: {\"a fox\"}')\n"  # 1.0.0
        "logging.info('Enhanced prompt: %s', 'a fox')\n"  # 1.2.0
        "logging.info('all else')\n"
    )
    argv = [launch.argv[0], "-c", code]
    variables = {**launch.variables, **hides}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
    lines = [f"Enhanced prompt: {prompt}" for prompt in shown * 2]
    assert done.stderr.splitlines() == [*lines, "all else"]


@pytest.mark.skipif(mappable_bytes() is None, reason="this machine maps files of any size")
def test_a_checkpoint_larger_than_memory_and_swap_is_refused(case: Case) -> None:
    """It would die with torch's words on mmap, after Gemma was loaded."""
    most = mappable_bytes()
    assert most is not None
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3))}
    tensors["vae.surplus"] = ("U8", (most,))
    write_checkpoint(case.folder / "model.safetensors", tensors, config)
    with pytest.raises(OutsideError, match="this machine maps files of at most") as caught:
        case.prepare()
    assert "vm.overcommit_memory=1" in caught.value.remedy


def test_on_cuda_memory_does_not_fragment_unless_the_user_chose(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nvidia_smi(tmp_path / "bin", RTX_3090, RTX_3090.replace("0,", "1,", 1))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    name = "PYTORCH_CUDA_ALLOC_CONF"
    assert case.prepare().variables[name] == "expandable_segments:True"
    assert case.prepare(PYTORCH_CUDA_ALLOC_CONF="theirs").variables[name] == "theirs"
    assert name not in case.prepare(PYTORCH_ALLOC_CONF="theirs").variables
    assert "CUDA_VISIBLE_DEVICES" not in case.prepare().variables
    launch = prepare(case.store, case.base, "distilled", case.right, {}, gpu=1)
    assert launch.variables["CUDA_VISIBLE_DEVICES"] == "1"
    assert launch.variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    with pytest.raises(UsageError, match="no GPU 5"):
        prepare(case.store, case.base, "distilled", case.right, {}, gpu=5)


def test_fp8_matrix_products_are_refused_on_a_card_that_has_none(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--quantization", "fp8-scaled-mm"]

    def admitted(*more: str, gpu: int | None = None) -> None:
        """On a base that takes it: 1.0.0 does not on any card."""
        target = find_script(case.store, case.base, "distilled", python=None, gpu=gpu).target
        able = replace(target.abilities, can=frozenset({"scaled-mm"}))
        request = parse_argv(target.pipeline, [*case.right, *more])
        admit(request, replace(target, abilities=able))

    admitted(*words)  # no card here: nothing to judge by
    with pytest.raises(UsageError, match="base 1.0.0 can't take --quantization fp8-scaled-mm"):
        case.prepare(*words)
    newer = H200.replace("0,", "1,", 1)
    monkeypatch.setenv("PATH", str(write_nvidia_smi(tmp_path / "bin", RTX_3090)), prepend=":")
    with pytest.raises(UsageError, match="8.9 or newer, and NVIDIA GeForce RTX 3090 has 8.6"):
        admitted(*words)
    case.prepare("--quantization", "fp8-cast")
    write_nvidia_smi(tmp_path / "bin", RTX_3090, newer)
    admitted(*words)
    admitted(*words, gpu=1)
    with pytest.raises(UsageError, match="RTX 3090 has 8.6"):
        admitted(*words, gpu=0)


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ("--num-frames 120", UsageError, "8k\\+1"),
        ("--width 736", UsageError, "divisible by 64"),
        ("--gemma-4bit --gemma-8bit", UsageError, "exclude"),
        ("--image {}/none.png 0 1.0", UsageError, "no file"),
        ("--lora {}/model.safetensors 1.0", UsageError, "is a checkpoint"),
        ("--lora {}/kohya.safetensors", UsageError, "holds no module of LTX-2 19B"),
        ("--lora {}/upsampler.safetensors", UsageError, "is an upsampler"),
        ("--spatial-upsampler-path {}/lora.safetensors", UsageError, "is a LoRA"),
        ("--output-path {}/model.safetensors/clip.mp4", UsageError, "can write to"),
        ("--output-path {}", UsageError, "is a folder"),
        ("--output-path {}/clip", UsageError, "has no suffix"),
        ("--output-path {}/clip.webm", UsageError, "ends in .webm"),
        ("--output-path /dev/full", UsageError, "no file that you can write to"),
        ("--output-path=", UsageError, "'' is no path"),
        ("--frame-rate 0", UsageError, "no rate"),
        ("--seed 18446744073709551616", UsageError, "more than 64 bits"),
        ("--num-frames 9 --image {}/model.safetensors 9 1.0", UsageError, "one of the 9 frames"),
        ("--gemma-root {}/none", UsageError, "not a folder"),
        ("--distilled-checkpoint-path {}/none.safetensors", UsageError, "does not exist"),
        ("--distilled-checkpoint-path {}/lora.safetensors", InvalidError, "no LTX-2 checkpoint"),
    ],
)
def test_what_can_not_work_is_refused(
    case: Case, more: str, kind: type[PatcherError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        case.prepare(*more.format(case.folder).split())


def test_a_home_is_handed_on_as_the_folder_that_it_is(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retake of 1.0.0 made a folder named "~"."""
    monkeypatch.setenv("HOME", str(case.folder))
    words = ["--gemma-root=~/gemma", "--output-path=~/home.mp4", "--lora", "~/lora.safetensors"]
    launch = case.prepare(*words)
    for name in ("gemma", "home.mp4", "lora.safetensors"):
        assert str(case.folder / name) in launch.argv
    assert not any(word.startswith("~") for word in launch.argv)


@pytest.mark.parametrize("leads", ["nowhere/clip.mp4", "gone.mp4", "link.mp4"])
def test_a_link_that_leads_nowhere_is_no_place_for_a_clip(case: Case, leads: str) -> None:
    link = case.folder / "link.mp4"
    link.symlink_to(leads)
    with pytest.raises(UsageError, match="is a link that leads nowhere"):
        case.prepare("--output-path", str(link))
    link.unlink()
    link.symlink_to("there.mp4")
    (case.folder / "there.mp4").touch()
    case.prepare("--output-path", str(link))


def test_a_clip_never_takes_the_place_of_what_it_is_made_of(case: Case) -> None:
    sound, link = case.folder / "sound.mp4", case.folder / "link.mp4"
    sound.write_bytes(b"a sound")
    link.hardlink_to(sound)
    for output in (sound, link, case.folder / "none" / ".." / "sound.mp4"):
        asked = ["--audio-path", str(sound), "--output-path", str(output)]
        with pytest.raises(UsageError, match="the clip would take its place"):
            case.prepare(*asked, name="a2vid_two_stage")
    assert sound.read_bytes() == b"a sound"


def test_the_folders_of_a_clip_are_made_once_it_runs(case: Case) -> None:
    clip = case.folder / "some" / "where" / "clip.mp4"
    script = find_script(case.store, case.base, "distilled")
    asked = [*case.right, "--output-path", str(clip)]
    admitted = admit(parse_argv(script.target.pipeline, asked), script.target)
    assert not clip.parent.parent.exists()
    make_output_folder(admitted.request)
    assert list(clip.parent.iterdir()) == []
    with pytest.raises(OutsideError, match="/proc can't be used"):  # root may write, it says
        make_output_folder(replace(admitted.request, output=Path("/proc/clip.mp4")))


def test_a_picture_before_the_clip_is_warned_of(case: Case) -> None:
    picture = case.folder / "model.safetensors"
    script = find_script(case.store, case.base, "distilled")
    for frame, warned in ((0, 0), (-1, 1)):
        asked = [*case.right, "--image", str(picture), str(frame), "1.0"]
        found = admit(parse_argv(script.target.pipeline, asked), script.target).warnings
        assert len(found) == warned
        assert all("stands at frame -1" in one.fact and one.remedy for one in found)


def test_a_lora_that_this_tree_would_leave_out_is_refused(case: Case) -> None:
    """As in a tree that is patched up to an earlier group."""
    pairs = lora_of("transformer.transformer_blocks.0.attn1.to_q")
    lora = write(case.folder / "diffusers.safetensors", pairs)
    target = find_script(case.store, case.base, "distilled").target
    request = parse_argv(target.pipeline, [*case.right, "--lora", str(lora)])
    assert admit(request, target).warnings == ()
    less = replace(target.abilities, can=target.abilities.can - {"any-lora-layout"})
    with pytest.raises(ConflictError, match="left out in silence") as caught:
        admit(request, replace(target, abilities=less))
    assert caught.value.remedy.endswith("`ltx2-patcher apply --base 1.0.0`")


def test_a_gemma_that_can_not_be_loaded_is_refused(case: Case, tmp_path: Path) -> None:
    for shard in (tmp_path / "gemma").glob("*-00002-*"):
        shard.rename(shard.with_name("renamed.safetensors"))
    with pytest.raises(InvalidError, match="model-00002-of-00002"):
        case.prepare()
    write_gemma(tmp_path / "less", plain(list(gemma_keys(TINY_GEMMA))[1:]))
    with pytest.raises(InvalidError, match="lacks"):
        case.prepare("--gemma-root", str(tmp_path / "less"))


def test_a_gemma_for_another_checkpoint_is_refused(case: Case, tmp_path: Path) -> None:
    text = {"hidden_size": 128, "num_hidden_layers": 2}
    write_gemma(tmp_path / "wider", text_config=text)
    with pytest.raises(ConflictError, match=r"takes 192 values a token.* gives 384"):
        case.prepare("--gemma-root", str(tmp_path / "wider"))


def test_what_another_base_loads_is_named_with_the_base(case: Case, tmp_path: Path) -> None:
    packed = write(tmp_path / "packed.safetensors", *packed_gemma())
    config = RELEASED["LTX-2.5 22B"]["config"]
    later = tmp_path / "later.safetensors"
    write_checkpoint(later, plain(transformer_keys(config)), config)
    for option, path in (("--gemma-root", packed), ("--distilled-checkpoint-path", later)):
        with pytest.raises(UsageError) as caught:
            case.prepare(option, str(path))
        assert "or base 1.2.0" in caught.value.remedy


def test_an_upsampler_of_another_model_is_refused(case: Case, tmp_path: Path) -> None:
    tensors = plain(["post_upsample_res_blocks.0.conv1.weight"])
    path = write(tmp_path / "other.safetensors", tensors, {"model_version": "2.3.0"})
    with pytest.raises(ConflictError, match=r"upsampler of LTX-2\.3"):
        case.prepare("--spatial-upsampler-path", str(path))


def test_the_scales_of_prequantized_weights_are_never_lost(case: Case, tmp_path: Path) -> None:
    block = "model.diffusion_model.transformer_blocks.0.attn1.to_q"
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {
        **plain(checkpoint_keys(config)),
        PROJECTION: ("BF16", (4, 64 * 3)),
        f"{block}.weight": ("F8_E4M3", (2, 2)),
        f"{block}.weight_scale": ("F32", ()),
    }
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    case.prepare("--quantization", "fp8-cast")
    with pytest.raises(UsageError) as caught:
        case.prepare()
    assert caught.value.remedy == "add --quantization fp8-cast"


def test_a_lora_beside_plain_fp8_needs_fp8_cast(case: Case, tmp_path: Path) -> None:
    blocks = "model.diffusion_model.transformer_blocks.0.attn1"
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = {
        **plain(checkpoint_keys(config)),
        PROJECTION: ("BF16", (4, 64 * 3)),
        f"{blocks}.to_q.weight": ("F8_E4M3", (2, 2)),
        f"{blocks}.to_k.weight": ("F8_E4M3", (2, 2)),
    }
    write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    case.prepare()
    lora = str(tmp_path / "lora.safetensors")
    case.prepare("--lora", lora, "0")
    case.prepare("--lora", lora, "--quantization", "fp8-cast")
    with pytest.raises(
        UsageError, match=r"leaves .*\.to_k.weight of the checkpoint in fp8"
    ) as caught:
        case.prepare("--lora", lora)
    assert caught.value.remedy == "add --quantization fp8-cast"


def test_a_quantized_root_needs_its_own_flag_and_bitsandbytes(
    case: Case, base: Base, tmp_path: Path
) -> None:
    packed = {
        **plain(gemma_keys(TINY_GEMMA)),
        f"{LINEAR}.weight": ("I8", (2, 2)),
        f"{LINEAR}.SCB": ("F32", (2,)),
    }
    root = str(write_gemma(tmp_path / "packed", packed))
    case.prepare("--gemma-root", root, "--gemma-8bit")
    with pytest.raises(UsageError, match="quantized already"):
        case.prepare("--gemma-root", root, "--gemma-4bit")
    pins = {name: v for name, v in base.environment.items() if name != "bitsandbytes"}
    python = make_environment(tmp_path / "env", pins)
    case.prepare(python=python)
    with pytest.raises(ConflictError, match="bitsandbytes is not installed"):
        case.prepare("--gemma-root", root, python=python)


def test_a_mapping_passes_the_same_gate(case: Case) -> None:
    """As a service takes it: JSON in, one sentence and its remedy out."""
    script = find_script(case.store, case.base, "distilled")
    right = dict(zip(case.right[::2], case.right[1::2], strict=True))
    asked = {option[2:].replace("-", "_"): value for option, value in right.items()}
    mapping = json.loads(json.dumps({**asked, "num_frames": 121, "gemma_4bit": True}))
    request = parse_mapping(script.target.pipeline, mapping)
    launch = script.launch(admit(request, script.target).request, {})
    assert launch == case.prepare("--num-frames", "121", "--gemma-4bit")
    for wrong, told in (
        ({"num_frames": 120}, "8k+1"),
        ({"image": [["none.png", 0, 1.0]]}, "there is no file none.png"),
        ({"gemma_root": str(case.folder / "none")}, "is not a folder"),
    ):
        with pytest.raises(UsageError) as caught:
            admit(parse_mapping(script.target.pipeline, {**mapping, **wrong}), script.target)
        assert told in str(caught.value)
        assert caught.value.remedy


def test_requests_that_come_together_are_judged_as_one_by_one(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the environment is looked at once."""
    script = find_script(case.store, case.base, "distilled")
    pipeline = script.target.pipeline
    requests = [
        parse_argv(pipeline, [*case.right, "--seed", str(seed), *more])
        for seed, more in enumerate(([], ["--num-frames", "12"], ["--image", "no.png", "0", "1"]))
    ]
    asked: list[Path] = []

    def noted(python: Path) -> Environment:
        asked.append(python)
        return describe(python)

    monkeypatch.setattr(looking, "describe", noted)

    def judged(looked: Looked | None) -> list[object]:
        found: list[object] = []
        for request in requests:
            try:
                found.append(admit(request, script.target, looked))
            except PatcherError as error:
                found.append((type(error), str(error), error.remedy))
        return found

    alone = judged(None)
    asked.clear()
    looked = Looked(script.target)
    looked.ahead(requests)
    assert judged(looked) == alone
    assert len(asked) == 1


def test_weights_that_host_memory_does_not_hold_are_warned_of(case: Case) -> None:
    script = find_script(case.store, case.base, "distilled")

    def admitted(*more: str) -> Admitted:
        return admit(parse_argv(script.target.pipeline, [*case.right, *more]), script.target)

    assert admitted().host is None
    free = admitted("--vram-budget", "6.5", "--host-budget", "1")
    assert free.host is not None and not free.host.on_disk_bytes
    assert free.warnings == admitted().warnings
    short = admitted("--vram-budget", "6.5", "--host-budget", "1e-06")
    assert short.host is not None and short.host.room_bytes == 1073
    (told,) = set(short.warnings) - set(free.warnings)
    assert "of weights have no room in host memory" in told.fact
    assert "more of host memory" in str(told.remedy)


def test_a_budget_that_is_too_small_for_the_clip_is_told_before_anything_loads(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "mappable_bytes", lambda: None)  # this host may be smaller
    config = RELEASED["LTX-2 19B"]["config"]
    large = {"model.diffusion_model.more.weight": ("BF16", (100_000, 100_000))}
    tensors = {**plain(checkpoint_keys(config)), PROJECTION: ("BF16", (4, 64 * 3)), **large}
    write_checkpoint(case.folder / "model.safetensors", tensors, config)
    row = {"pipeline": "distilled", "variant": "2.0", "width": 768, "height": 512, "frames": 121}
    baseline = {"base": "1.2.0", "needs": [{**row, "reserved_gib": 5.3}]}
    measured = case.store.root / BASELINES / "parked-1.2.0-a-card.json"
    measured.parent.mkdir(parents=True, exist_ok=True)
    measured.write_text(json.dumps(baseline))
    write_nvidia_smi(case.folder / "bin", RTX_3090)
    monkeypatch.setenv("PATH", str(case.folder / "bin"), prepend=os.pathsep)
    usual = ("--width", "768", "--height", "512", "--num-frames", "121", "--host-budget", "0.01")
    case.prepare(*usual, "--vram-budget", "5.3")
    with pytest.raises(UsageError, match="takes about 5.3 GiB of the card") as caught:
        case.prepare(*usual, "--vram-budget", "5")
    assert caught.value.remedy.startswith("give --vram-budget 5.3, or ")
    write_nvidia_smi(case.folder / "bin", RTX_3090.replace("24100", "5900"))
    with pytest.raises(UsageError, match="5.0 GiB of it are free"):
        case.prepare(*usual, "--vram-budget", "auto")
    script = find_script(case.store, case.base, "distilled")
    request = parse_argv(script.target.pipeline, [*case.right, *usual, "--vram-budget", "22.8"])
    told = [warning.fact for warning in admit(request, script.target).warnings]
    assert any("--vram-budget allows 22.8 GiB" in fact for fact in told)
    measured.unlink()
    case.prepare(*usual, "--vram-budget", "5")
    request = parse_argv(script.target.pipeline, [*case.right, *usual])
    facts = {warning.fact: warning.remedy for warning in admit(request, script.target).warnings}
    (remedy,) = (facts[fact] for fact in facts if fact.startswith("denoising takes about "))
    assert str(remedy).startswith("give --vram-budget auto")


def test_a_batch_keeps_its_weights_where_host_memory_holds_them(case: Case) -> None:
    script = find_script(case.store, case.base, "distilled")
    file = case.folder / "clips.jsonl"
    file.write_text('{"seed": 1}\n{"seed": 2}\n')

    def planned(*more: str) -> Batch:
        return plan_batch(script, case.base.name, [*case.right, *more], file, resume=False)

    batch = planned("--host-budget", "1")
    assert (batch.parks, batch.holds_too_little) == (True, None)
    assert all("--vram-budget" in clip.argv for clip in batch.clips)
    batch = planned("--host-budget", "1e-06")
    assert not batch.parks and "have no room in host memory" in str(batch.holds_too_little)
    assert not any("--vram-budget" in clip.argv or clip.warnings for clip in batch.clips)
    batch = planned("--host-budget", "1e-06", "--vram-budget", "6.5")
    assert (batch.parks, batch.holds_too_little) == (False, None)
    assert all("--vram-budget" in clip.argv and clip.warnings for clip in batch.clips)


def test_what_is_not_there_yet_is_named_with_the_command_that_makes_it(
    case: Case, copied_store: Store, published: Path
) -> None:
    with pytest.raises(ConflictError) as caught:
        prepare(copied_store, case.base, "distilled", case.right, {})
    assert caught.value.remedy == "run `make patch`"
    shutil.copytree(published, checkout_path(copied_store, case.base), symlinks=True)
    with pytest.raises(ConflictError, match="not patched") as caught:
        prepare(copied_store, case.base, "distilled", case.right, {})
    assert caught.value.remedy == "run `make patch`"
    (environment_path(case.store, case.base) / "bin/python").rename(case.folder / "away")
    try:
        with pytest.raises(ConflictError) as caught:
            case.prepare()
    finally:
        (case.folder / "away").rename(environment_path(case.store, case.base) / "bin/python")
    assert "make install" in caught.value.remedy


def test_near_names_are_offered(ready: Store, base: Base) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(ready, base, "ti2vid_two_stage", [], {})
    assert "ti2vid_two_stages" in caught.value.remedy
