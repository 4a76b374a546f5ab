"""Upstream's options: what each takes, and a command line read as argparse reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.request import GemmaFlag


@dataclass(frozen=True, slots=True)
class Behind:
    """The numbers that an option takes behind its file, by upstream's names for them."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


CHECKPOINTS = ("--checkpoint-path", "--distilled-checkpoint-path")
PARTS = (
    "--transformer-path",
    "--text-encoder-path",
    "--video-vae-path",
    "--audio-vae-path",
    "--duration-head-path",
)
GEMMA_FLAGS: dict[str, GemmaFlag] = {"--gemma-4bit": "4bit", "--gemma-8bit": "8bit"}
INTEGERS = {
    "--width": "width",
    "--height": "height",
    "--num-frames": "frames",
    "--seed": "seed",
    "--num-inference-steps": "steps",
}
PATHS = {
    "--output-path": "output",
    "--gemma-root": "gemma_root",
    "--prompt-enhancer-gemma-root": "enhancer_root",
    "--weights-folder": "weights_folder",
}
BUDGETS = {"--vram-budget": "vram_budget", "--host-budget": "host_budget"}
"""Each is auto or a number of GiB."""
FRAME_FOLDERS = frozenset({"--video-path", "--video-conditioning"})
"""They take a folder of *.exr too, in scripts that know --hdr."""
_LORA = Behind(optional=("STRENGTH",))
_GUIDE = Behind(needed=("STRENGTH",))
FILES: Mapping[str, Behind] = {
    "--image": Behind(needed=("FRAME_IDX", "STRENGTH"), optional=("CRF",)),
    "--lora": _LORA,
    "--distilled-lora": _LORA,
    "--detailing-lora": _LORA,
    "--hdr-lora": Behind(),
    "--text-embeddings": Behind(),
    "--spatial-upsampler-path": Behind(),
    "--temporal-upsampler-path": Behind(),
    "--audio-path": Behind(),
    "--video-path": Behind(),
    "--reference-video": Behind(),
    "--video-conditioning": _GUIDE,
    "--conditioning-attention-mask": _GUIDE,
}
"""The first value is a file, numbers may follow (ltx_pipelines.utils.args and the scripts)."""
SUFFIXES: Mapping[str | None, tuple[str, ...]] = {
    "video": (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".ts", ".m2ts", ".mts", ".flv", ".3gp"),
    "sound": (".wav", ".mp4", ".mov", ".mkv", ".mka", ".avi", ".aiff"),
    None: (),
}
"""How `--output-path` may end: what PyAV 18.1 writes upstream's codecs to, H.264 beside AAC for a
video (ltx_pipelines.utils.media_io, encode_video), 16-bit PCM for sound alone (encode_audio)."""
FILE_LISTS = frozenset({"--loras"})
"""Each value is a file."""
LORAS = FILE_LISTS | {"--lora", "--distilled-lora", "--detailing-lora", "--hdr-lora"}
"""What takes a LoRA for the transformer."""


def given_options(
    known: frozenset[str], arguments: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each option of a command line with its values, the name in full.

    As argparse reads them: `--name value`, `--name=value`, and a prefix that only one option has;
    dashes before something with a space in it begin a value. What stands before the first option is
    given to the script's own words without a dash, such as `inputs`, by that name.

    Raises: UsageError for a value that stands before any option of a script without such words.
    """
    option = next((name for name in sorted(known) if is_positional(name)), None)
    values: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--") and " " not in name:
            if option is not None and (values or not is_positional(option)):
                yield option, tuple(values)
            option, values = _full_name(known, name), [value] if equals else []
        elif option is None:
            raise UsageError(
                f"{argument!r} stands before any option",
                remedy="name the option that it belongs to, as in --prompt",
            )
        else:
            values.append(argument)
    if option is not None and (values or not is_positional(option)):
        yield option, tuple(values)


def is_positional(name: str) -> bool:
    """Whether a parser knows what it takes under that name by its place alone."""
    return name.isidentifier()


def _full_name(known: frozenset[str], name: str) -> str:
    if name in known:
        return name
    longer = [option for option in known if option.startswith(name)]
    return longer[0] if len(longer) == 1 else name
