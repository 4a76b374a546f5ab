"""Recordings made by code, as files: real mp4s, PNGs and safetensors, and no script run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from verify.clips import manifest
from verify.clips.manifest import Manifest, Recorded, Recording, Upstream, WeightFile
from verify.upstream.command_line import ClipShape, Gemma

SHAPE = ClipShape(128, 64, 5, 25, steps=2)
RATE = 16_000
PLAIN = Manifest(
    case_set="0123456789abcdef",
    shape=SHAPE,
    weights="tiny",
    weight_files={"--checkpoint-path": WeightFile("model.safetensors", "ab" * 32)},
    upstream=Upstream("1.0.0", "patched", "portable", "cd" * 32),
    gemma=Gemma.PLAIN,
    extra=(),
    machine="a processor",
    versions={"torch": "2.13.0"},
    date="2026-11-26",
    images={},
    cases=(),
    left_out={},
)
QUANTIZED = replace(PLAIN, gemma=Gemma.FLAG_4BIT)


def write_recording(
    folder: Path,
    made: Manifest = PLAIN,
    *,
    names: tuple[str, ...] = ("distilled-t2v", "keyframes"),
    prompt: str = "A prompt.",
    hidden_noise: float = 0.0,
    latent_noise: float = 0.0,
    picture_noise: Mapping[int, float] | None = None,
) -> Recording:
    """A recording whose numbers are off by so much: standard deviations, of 255 for pictures.

    `picture_noise` is by frame.
    """
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (96, 64), (250, 150, 60)).save(folder / "images" / "sunset.png")
    recorded = []
    for seed, name in enumerate(names):
        case = folder / name
        case.mkdir()
        frames = _frames(seed, made.shape, picture_noise or {})
        write_clip(case / manifest.CLIP, frames, made.shape.fps)
        for still, frame in zip(manifest.STILLS, (0, len(frames) // 2, -1), strict=True):
            Image.fromarray(frames[frame]).save(case / f"{still}.png")
        shapes = {f"text{t}.layer{n}": (7, 64) for t in range(2) for n in (0, 1, 2)}
        save_file(_noised(shapes, seed, hidden_noise), case / manifest.HIDDEN)
        latents = {"video": (1, 128, 2, 2, 3), "audio": (1, 8, 5, 16)}
        save_file(_noised(latents, seed, latent_noise), case / manifest.LATENTS)
        files = {path.name: manifest.digest_of(path) for path in case.iterdir()}
        recorded.append(Recorded(name, "distilled", prompt, seed, {"sunset": 0}, 1.5, files))
    images = {"sunset": manifest.digest_of(folder / "images" / "sunset.png")}
    made = replace(made, cases=tuple(recorded), images=images)
    (folder / manifest.NAME).write_text(manifest.render(made), encoding="utf-8")
    return Recording(folder, made)


def write_clip(path: Path, frames: NDArray[np.uint8], fps: int) -> None:
    """An h264 and aac mp4 of `frames`, (frames, height, width, 3)."""
    with av.open(str(path), "w") as container:
        # Without lookahead or B-frames, no frame tells on one before it.
        options = {"crf": "10", "tune": "zerolatency"}
        video: Any = container.add_stream("libx264", rate=fps, options=options)
        video.codec_context.thread_count = 1
        video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        audio: Any = container.add_stream("aac", rate=RATE, layout="mono")
        for picture in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        times = np.arange(RATE * len(frames) // fps) / RATE
        sound = np.sin(2 * np.pi * 440 * times, dtype=np.float32)[None]
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def _frames(seed: int, shape: ClipShape, noise: Mapping[int, float]) -> NDArray[np.uint8]:
    y, x = np.meshgrid(
        np.linspace(0, 6, shape.height), np.linspace(0, 9, shape.width), indexing="ij"
    )
    random = np.random.default_rng(seed)
    frames = []
    for at in range(shape.frames):
        waves = [np.sin(x * (c + 1) / 2 + y + at / 3 + seed) for c in range(3)]
        picture = 128 + 90 * np.stack(waves, axis=-1)
        picture = picture + noise.get(at, 0.0) * random.standard_normal(picture.shape)
        frames.append(picture.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def _noised(
    shapes: Mapping[str, tuple[int, ...]], seed: int, deviation: float
) -> dict[str, torch.Tensor]:
    tensors = {}
    for number, (name, shape) in enumerate(shapes.items()):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        plain = torch.randn(shape, generator=generator)
        off = deviation * torch.randn(shape, generator=generator)
        tensors[name] = (plain + off).to(torch.bfloat16)
    return tensors
