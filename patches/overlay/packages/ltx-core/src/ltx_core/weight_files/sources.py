"""What each of the files given to a conversion holds of an LTX-2, and what they say together of the model."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx_core.loader.lora_names import kinds
from ltx_core.weight_files.errors import IncompleteModel, UnreadableFile
from ltx_core.weight_files.model_parts import TRANSFORMER_PREFIX, Part, part_of, upstream_names
from ltx_core.weight_files.released import released_metadata
from ltx_core.weight_files.weights import Weight, Weights

CONFIG = "config"
"""The key of a file's metadata under which upstream finds how a model is built."""

_SECTIONS = {
    "transformer": (Part.TRANSFORMER, Part.CONNECTORS),
    "vae": (Part.VIDEO_VAE,),
    "audio_vae": (Part.AUDIO_VAE,),
    "vocoder": (Part.VOCODER,),
}
"""What of it describes which parts, the one whose file is believed first."""
_LAYERS = "num_layers"
_BLOCKS = f"{TRANSFORMER_PREFIX}transformer_blocks."
_AGAIN = "download it again"


@dataclass(frozen=True)
class Source:
    """One of the files or folders given."""

    path: Path
    metadata: Mapping[str, str]
    config: Mapping[str, object]
    by_part: Mapping[Part, Mapping[str, Weight]]  # by the name in upstream's checkpoint
    left_out: tuple[str, ...]  # names of what is no part of an LTX-2

    @property
    def transformer(self) -> Mapping[str, Weight]:
        return self.by_part.get(Part.TRANSFORMER, {})


def source_of(path: Path, weights: Weights) -> Source:
    """Return what a file holds. Raises: UnreadableFile where that is nothing of an LTX-2."""
    by_name = {weight.name: weight for weight in weights}
    names = upstream_names({name: weight.shape for name, weight in by_name.items()})
    if not names:
        raise UnreadableFile(
            f"{path} holds no part of an LTX-2 ({kinds(by_name)})", "leave it out, or give a transformer or its parts"
        )
    by_part: dict[Part, dict[str, Weight]] = {}
    for name, ours in names.items():
        part = by_part.setdefault(part_of(ours), {})
        if ours in part:
            raise UnreadableFile(
                f"{path} holds {ours} twice, as {part[ours].name} too", "take it from its source again"
            )
        part[ours] = by_name[name]
    left_out = tuple(name for name in by_name if name not in names)
    return Source(path, weights.metadata, _config(path, weights.metadata), by_part, left_out)


def first_of_parts(sources: Sequence[Source]) -> dict[Part, Source]:
    """Return which source each part is taken from: the first that has it. In the order of a checkpoint."""
    found = {part: source for source in reversed(sources) for part in source.by_part}
    return {part: found[part] for part in Part if part in found}


def require_blocks(source: Source, layers: int) -> None:
    """The transformer has so many blocks, and each has what the others have. Raises: IncompleteModel."""
    blocks: set[str] = set()
    tensors: Counter[str] = Counter()
    for name in source.transformer:
        if name.startswith(_BLOCKS):
            number, _, rest = name.removeprefix(_BLOCKS).partition(".")
            blocks.add(number)
            tensors[rest] += 1
    if lacking := [number for number in map(str, range(layers)) if number not in blocks]:
        shown = ", ".join(lacking) if len(lacking) < layers else "all"
        raise IncompleteModel(f"{source.path} lacks blocks of its {layers}: {shown}", _AGAIN)
    if len(blocks) > layers:
        raise IncompleteModel(f"{source.path} has {len(blocks)} blocks where its configuration says {layers}", _AGAIN)
    if odd := sorted(name for name, times in tensors.items() if times != layers):
        raise IncompleteModel(f"{source.path} lacks {odd[0]} of {layers - tensors[odd[0]]} blocks", _AGAIN)


def layers_of(metadata: Mapping[str, str]) -> int:
    """How many blocks the configuration in a checkpoint's metadata says."""
    return json.loads(metadata[CONFIG])["transformer"][_LAYERS]


def checkpoint_metadata(sources: Sequence[Source], of_part: Mapping[Part, Source]) -> dict[str, str]:
    """Return what upstream's checkpoint says of its model: of a part what its own file says, else what another does.

    Of a released transformer it is known where no file says it. Raises: IncompleteModel.
    """
    released = released_metadata({name: w.shape for name, w in of_part[Part.TRANSFORMER].transformer.items()})
    known = json.loads(released.get(CONFIG, "{}"))
    config: dict[str, object] = dict(known)
    for source in reversed(sources):
        config.update(source.config)
    for section, parts in _SECTIONS.items():
        owners = [of_part[part].config for part in parts if part in of_part]
        if not owners:
            continue
        said = (one[section] for one in (*owners, *(source.config for source in sources), known) if section in one)
        chosen = next((one for one in said if _describes(section, one)), None)
        if chosen is None:
            raise IncompleteModel(
                f"no file given says how the {parts[0].value} is built (`config` in its metadata)",
                "give the published checkpoint of the same model as well, behind the others",
            )
        config[section] = chosen
    metadata = dict(released)
    for source in reversed((of_part[Part.TRANSFORMER], *sources)):
        metadata.update({key: value for key, value in source.metadata.items() if "." not in key})  # GGUF's own have one
    return {**metadata, CONFIG: json.dumps(config)}


def _describes(section: str, said: object) -> bool:
    """Whether a section describes its part; a duration head's file has a shorter one of the transformer's name."""
    return isinstance(said, dict) and (section != "transformer" or isinstance(said.get(_LAYERS), int))


def _config(path: Path, metadata: Mapping[str, str]) -> dict[str, object]:
    try:
        config = json.loads(metadata.get(CONFIG, "{}"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UnreadableFile(f"the model configuration in {path} cannot be read", _AGAIN)
    return config
