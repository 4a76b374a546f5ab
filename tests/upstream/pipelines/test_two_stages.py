"""Image to video in two stages on LTX-2.3, told from what the real script does inside.

One run serves all.
"""

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from tests.upstream.conftest import FileSets
from tests.upstream.pipelines.edited_files import edited_files
from tests.upstream.pipelines.recorded_runs import (
    BLOCK,
    DEVIATION,
    MEAN,
    PASSES,
    SEED,
    STRENGTH,
    Run,
    record,
    tokens,
)
from tests.upstream.stage_record.events import Built, Encoded, Loaded, Upsampled, Warned, of_kind
from verify.clips.cases import TINY
from verify.upstream.process import Pipelines

pytestmark = pytest.mark.revisions(since="2026-03-05")

STAGES = (1, 2)
SIGMAS_2 = (0.909375, 0.725, 0.421875, 0.0)
CRF = 33
BF16 = 2.0**-8  # the distance of two numbers below 1
ON_CUDA = torch.cuda.is_available()
CROSS = ("audio_to_video_attn", "video_to_audio_attn")


def _encoded_tokens(two_stages: Run, stage: int) -> torch.Tensor:
    return tokens(of_kind(two_stages.events, Encoded)[stage - 1].latent)


def _recompressed(path: Path, crf: int) -> NDArray[np.uint8]:
    """The picture after one frame of H.264."""
    with BytesIO() as file:
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream(
                "libx264", rate=1, options={"crf": str(crf), "preset": "veryfast"}
            )
            stream.width, stream.height, stream.pix_fmt = TINY.width, TINY.height, "yuv420p"
            pixels = np.asarray(Image.open(path))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        file.seek(0)
        with av.open(file) as container:
            frame = next(container.decode(video=0))
            decoded: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
            return decoded


@pytest.mark.parametrize("stage", STAGES)
def test_the_image_is_encoded_at_the_stages_size_after_recompression(
    two_stages: Run, stage: int
) -> None:
    assert len(of_kind(two_stages.events, Encoded)) == len(STAGES)
    seen = of_kind(two_stages.events, Encoded)[stage - 1].pictures
    shrunk = 2 // stage

    def shown(pixels: NDArray[np.uint8]) -> torch.Tensor:
        """(1, 3, 1, height, width); half the size is the average of four pixels."""
        image = torch.from_numpy(pixels).float().permute(2, 0, 1)
        image = torch.nn.functional.avg_pool2d(image, shrunk) / 127.5 - 1
        return image[None, :, None]

    def apart(pixels: NDArray[np.uint8]) -> float:
        return float((seen.float() - shown(pixels)).abs().max())

    assert seen.shape == (1, 3, 1, TINY.height // shrunk, TINY.width // shrunk)
    recompressed = _recompressed(two_stages.image, CRF)
    assert apart(recompressed) <= BF16
    if not ON_CUDA:  # which resizes in another order
        assert torch.equal(seen, shown(recompressed).to(torch.bfloat16))
    for other in (_recompressed(two_stages.image, CRF - 5), np.array(Image.open(two_stages.image))):
        assert apart(other) > 4 * BF16


def test_stage_1_starts_from_nothing_but_the_image(two_stages: Run) -> None:
    start, image = two_stages.noised(1, "video"), _encoded_tokens(two_stages, 1)
    first = image.shape[1]
    assert torch.equal(start.clean[:, :first], image)
    assert image.any()
    assert start.clean.shape[1] > first
    assert not start.clean[:, first:].any()
    assert not two_stages.noised(1, "audio").clean.any()
    assert start.scale == 1.0


def test_stage_2_starts_from_the_upsampled_latent_with_its_first_frame_replaced(
    two_stages: Run,
) -> None:
    """Between the stages stand the checkpoint's statistics, which are undone and applied again."""
    held = load_file(two_stages.files.checkpoint)
    mean, deviation = (held[name].view(1, -1, 1, 1, 1) for name in (MEAN, DEVIATION))
    (upsampled,) = of_kind(two_stages.events, Upsampled)
    last = two_stages.steps(1, "video")[-1].result
    assert torch.equal(tokens(upsampled.latent), last * deviation.flatten() + mean.flatten())
    larger = tokens((upsampled.larger - mean) / deviation)
    start, image = two_stages.noised(2, "video"), _encoded_tokens(two_stages, 2)
    first = image.shape[1]
    assert torch.equal(start.clean[:, first:], larger[:, first:])
    assert torch.equal(start.clean[:, :first], image)
    assert not torch.equal(larger[:, :first], image)
    assert start.scale == pytest.approx(SIGMAS_2[0])


@pytest.mark.parametrize("stage", STAGES)
def test_the_first_frame_is_the_encoded_image_after_each_step(two_stages: Run, stage: int) -> None:
    image = _encoded_tokens(two_stages, stage)
    first, steps = image.shape[1], two_stages.steps(stage, "video")
    start = two_stages.noised(stage, "video")
    assert not start.mask[:, :first].any() and bool((start.mask[:, first:] == 1).all())
    assert len(steps) == {1: 2, 2: len(SIGMAS_2) - 1}[stage]
    for latent in (start.noised, *(step.result for step in steps)):
        assert torch.equal(latent[:, :first], image)
    for before, after in zip([start.noised, *(s.result for s in steps)], steps, strict=False):
        assert not torch.equal(before[:, first:], after.result[:, first:])
    for passed in two_stages.passes(stage):
        assert not passed.timesteps[:, :first].any()
        assert bool((passed.timesteps[:, first:] == passed.sigma).all())


def test_each_step_of_stage_1_takes_the_four_guided_passes(two_stages: Run) -> None:
    blocks = range(2)
    every = {
        f"transformer_blocks.{block}.{name}"
        for block in blocks
        for name in ("attn1", "attn2", "audio_attn1", "audio_attn2", *CROSS)
    }
    cross = {name for name in every if name.endswith(CROSS)}
    own = [f"transformer_blocks.{BLOCK}.attn1", f"transformer_blocks.{BLOCK}.audio_attn1"]
    passes = two_stages.passes(1)
    assert len(passes) == len(PASSES) * len(two_stages.steps(1, "video"))
    for number in range(0, len(passes), len(PASSES)):
        step = dict(zip(PASSES, passes[number : number + len(PASSES)], strict=True))
        assert len({passed.sigma for passed in step.values()}) == 1
        ran = {name: set(passed.ran) for name, passed in step.items()}
        assert ran == dict.fromkeys(PASSES, every) | {"isolated": every - cross}
        bypassed = {name: sorted(passed.bypassed) for name, passed in step.items()}
        assert bypassed == {name: [] for name in PASSES} | {"perturbed": own}
        contexts = {name: tuple(passed.contexts) for name, passed in step.items()}
        assert {name for name, held in contexts.items() if held == contexts["plain"]} == {
            "plain",
            "perturbed",
            "isolated",
        }


def test_each_guided_pass_gives_another_answer_to_the_same_question(two_stages: Run) -> None:
    """The default block, 28, would perturb nothing here and say nothing."""
    passes = two_stages.passes(1)
    for number in range(0, len(passes), len(PASSES)):
        step = passes[number : number + len(PASSES)]
        first = _encoded_tokens(two_stages, 1).shape[1]
        for i, one in enumerate(step):
            for other in step[i + 1 :]:
                assert torch.equal(one.video, other.video)
                assert torch.equal(one.audio, other.audio)
                assert not torch.equal(
                    one.denoised_video[:, first:], other.denoised_video[:, first:]
                )
                assert not torch.equal(one.denoised_audio, other.denoised_audio)


@pytest.mark.slow
def test_a_block_that_the_model_has_not_is_perturbed_in_silence(
    patched: Pipelines, fileset: FileSets, picture: Path, tmp_path: Path
) -> None:
    """The control of the test above, with upstream's default blocks."""
    files = fileset("2.3")
    done, events = record(patched, files, picture, tmp_path / "run")
    assert done.code == 0, done.err
    plain, _, perturbed, _ = Run(files, picture, events).passes(1)[: len(PASSES)]
    assert perturbed.bypassed == []
    assert torch.equal(plain.denoised_video, perturbed.denoised_video)


def test_stage_2_takes_one_pass_a_step_along_its_own_sigmas(two_stages: Run) -> None:
    passes, steps = two_stages.passes(2), two_stages.steps(2, "video")
    schedule = torch.tensor(SIGMAS_2)
    assert [step.index for step in steps] == [0, 1, 2]
    assert all(torch.equal(step.sigmas, schedule) for step in steps)
    assert [passed.sigma for passed in passes] == schedule[:-1].tolist()
    plain = two_stages.passes(1)[0]
    for passed in passes:
        assert list(passed.contexts) == list(plain.contexts)
        assert list(passed.bypassed) == []
        assert sorted(passed.ran) == sorted(plain.ran)


def test_one_noise_generator_goes_on_from_stage_1_into_stage_2(two_stages: Run) -> None:
    device = torch.device("cuda" if ON_CUDA else "cpu")
    generator = torch.Generator(device).manual_seed(SEED)
    states = [two_stages.noised(stage, of) for stage in STAGES for of in ("video", "audio")]
    assert len({state.generator for state in states}) == 1
    for state in states:
        assert torch.equal(state.before, generator.get_state())
        shape, dtype = state.latent.shape, state.latent.dtype
        noise = torch.randn(shape, generator=generator, dtype=dtype, device=device).cpu()
        assert torch.equal(state.after, generator.get_state())
        mixed = noise * state.scale + state.latent * (1 - state.scale)
        mixed = torch.where(state.mask == 1, mixed, state.clean)
        torch.testing.assert_close(state.noised, mixed, rtol=2**-7, atol=2**-7)


def test_the_lora_is_fused_in_stage_2_and_not_in_stage_1(two_stages: Run) -> None:
    """To the rounding of what is stored: fp8 has 3 bits of a number, bf16 7. On CUDA upstream's
    kernel rounds fp8 up or down by chance, so that it is off by up to twice as much.
    """
    stored, lora = (
        load_file(two_stages.files.checkpoint),
        load_file(two_stages.files.distilled_lora),
    )
    one, two = (loaded.weights for loaded in of_kind(two_stages.events, Loaded))
    assert one.keys() == two.keys()
    pairs = {name.removesuffix(".lora_A.weight") for name in lora if ".lora_A." in name}
    fused = set()
    for name, weight in one.items():
        original = stored[f"model.diffusion_model.{name}"]
        assert torch.equal(weight.float(), original.to(weight.dtype).float())
        assert two[name].dtype == weight.dtype
        layer = f"diffusion_model.{name.removesuffix('.weight')}"
        if not name.endswith(".weight") or layer not in pairs:
            assert torch.equal(two[name].float(), weight.float())
            continue
        fused.add(layer)
        down, up = (lora[f"{layer}.lora_{side}.weight"].double() for side in "AB")
        delta = STRENGTH * up @ down
        in_fp8 = weight.dtype is torch.float8_e4m3fn
        bits = (2 if ON_CUDA else 3) if in_fp8 else 7
        rounding = 2.0 ** -(bits + 1) + 2.0**-7
        expected = weight.double() + delta
        torch.testing.assert_close(two[name].double(), expected, rtol=rounding, atol=2**-7)
        error = two[name].double() - expected
        assert error.norm() < 2.0 ** -(bits - 1) * delta.norm()
    assert fused == pairs
    assert {weight.dtype for weight in one.values()} >= {torch.float8_e4m3fn, torch.bfloat16}


def test_every_model_is_built_whole(two_stages: Run) -> None:
    built = of_kind(two_stages.events, Built)
    unfilled = [model.component for model in built if model.unfilled]
    # LTX-2.3 has no duration head; upstream looks for one since LTX-2.5 and goes on without.
    assert set(unfilled) <= {"DurationHeadConfigurator"}
    logged = [warned for warned in of_kind(two_stages.events, Warned) if _told_unfilled(warned)]
    assert len(logged) == len(unfilled)
    assert {model.component for model in built} - set(unfilled) == {
        "GemmaTextEncoderConfigurator",
        "EmbeddingsProcessorConfigurator",
        "VideoEncoderConfigurator",
        "LTXModelConfigurator",
        "LatentUpsamplerConfigurator",
        "VideoDecoderConfigurator",
        "AudioDecoderConfigurator",
        "VocoderConfigurator",
    }
    transformers = [model for model in built if model.component == "LTXModelConfigurator"]
    assert [list(model.loras) for model in transformers] == [[], [STRENGTH]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "component"),
    [
        (MEAN, "VideoEncoderConfigurator"),
        ("audio_vae.per_channel_statistics.std-of-means", "AudioDecoderConfigurator"),
        ("vocoder.vocoder.conv_pre.weight", "VocoderConfigurator"),
    ],
)
def test_a_key_that_is_missing_is_seen(
    name: str,
    component: str,
    patched: Pipelines,
    fileset: FileSets,
    picture: Path,
    tmp_path: Path,
) -> None:
    """The control of the test above: upstream itself goes on as far as it gets, on a GPU to the
    end, and says it in its log alone.
    """
    files = edited_files(fileset("2.3"), tmp_path / "files", tensors={name: None})
    done, events = record(patched, files, picture, tmp_path / "run")
    assert ON_CUDA or done.code != 0
    unfilled = {b.component: [*b.unfilled] for b in of_kind(events, Built) if b.unfilled}
    assert [name.endswith(key) for key in unfilled[component]] == [True]
    assert any(_told_unfilled(warned) for warned in of_kind(events, Warned))


def _told_unfilled(warned: Warned) -> bool:
    return warned.message.startswith("Uninitialized parameters or buffers")
