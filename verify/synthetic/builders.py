"""The builders by which the upstream on the path loads a file set, as its pipelines make them."""

import importlib.util
from pathlib import Path
from typing import Any

import torch

from verify.synthetic.files import FileSet, Layout

_CPU = torch.device("cpu")


def upstream_builders(files: FileSet) -> dict[str, Any]:
    """A builder for each component of `files`; the name of one ends with `transformer`."""
    from ltx_core.model import audio_vae

    blocks = importlib.util.find_spec("ltx_pipelines.utils.blocks") is not None
    builders = _of_blocks(files) if blocks else _of_ledger(files)
    # Not every revision has a pipeline that listens.
    builders["audio_encoder"] = _builder(
        audio_vae.AudioEncoderConfigurator,
        files.audio_vae,
        audio_vae.AUDIO_VAE_ENCODER_COMFY_KEYS_FILTER,
    )
    return builders


def _of_ledger(files: FileSet) -> dict[str, Any]:
    from ltx_pipelines.utils.model_ledger import ModelLedger

    ledger = ModelLedger(
        dtype=torch.bfloat16,
        device=_CPU,
        checkpoint_path=str(files.checkpoint),
        gemma_root_path=str(files.gemma_root),
        spatial_upsampler_path=str(files.spatial_upsampler),
    )
    return _builders_of(ledger)


def _of_blocks(files: FileSet) -> dict[str, Any]:
    from ltx_pipelines.distilled import DistilledPipeline

    pipeline = DistilledPipeline(
        **_paths(files),
        spatial_upsampler_path=str(files.spatial_upsampler),
        loras=[],
        device=_CPU,
    )
    found = {
        f"{block}.{name}": builder
        for block, owner in vars(pipeline).items()
        if hasattr(owner, "__dict__")
        for name, builder in _builders_of(owner).items()
    }
    if getattr(pipeline, "duration_predictor", None) is not None:
        from ltx_core import duration_head

        found["duration_head"] = _builder(
            duration_head.DurationHeadConfigurator,
            files.duration_head,
            duration_head.DURATION_HEAD_KEY_OPS,
        )
    return found


def _paths(files: FileSet) -> dict[str, Any]:
    """How the distilled pipeline is told where the models lie."""
    if importlib.util.find_spec("ltx_pipelines.utils.model_paths") is None:
        return {
            "distilled_checkpoint_path": str(files.checkpoint),
            "gemma_root": str(files.gemma_root),
        }
    from ltx_pipelines.utils.model_paths import ModelPaths

    if files.layout is Layout.MONOLITH:
        paths = ModelPaths.from_monolith(str(files.checkpoint), str(files.gemma_root))
    else:
        head = files.duration_head
        paths = ModelPaths.from_split(
            transformer_path=str(files.transformer),
            text_encoder_path=str(files.text_encoder),
            video_vae_path=str(files.video_vae),
            audio_vae_path=str(files.audio_vae),
            duration_head_path=str(head) if head.is_file() else None,
        )
    return {"model_paths": paths}


def _builders_of(owner: object) -> dict[str, Any]:
    from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder

    return {
        name.strip("_").removesuffix("_builder"): value
        for name, value in vars(owner).items()
        if isinstance(value, SingleGPUModelBuilder)
    }


def _builder(configurator: Any, path: Path, ops: Any) -> Any:
    from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder

    return SingleGPUModelBuilder(
        model_class_configurator=configurator, model_path=str(path), model_sd_ops=ops
    )
