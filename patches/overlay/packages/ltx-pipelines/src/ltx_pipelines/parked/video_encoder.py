"""The video encoder, built when it encodes: a clip from text alone needs its statistics for upsampling, and no more."""

from dataclasses import dataclass

import torch

from ltx_core.loader.registry import DummyRegistry
from ltx_core.loader.sd_ops import KeyValueOperationResult, SDOps
from ltx_core.loader.single_gpu_model_builder import SingleGPUModelBuilder
from ltx_core.model.video_vae import VideoEncoder
from ltx_core.model.video_vae.ops import PerChannelStatistics

_STATISTICS = "per_channel_statistics"


class EncoderWhenUsed:
    """Stands where upstream's encoder does, on `device`; whatever but its statistics is asked of it builds it.

    `via` is where upstream builds it first, if elsewhere.
    """

    def __init__(
        self,
        builder: SingleGPUModelBuilder[VideoEncoder],
        device: torch.device,
        dtype: torch.dtype,
        via: torch.device | None = None,
    ) -> None:
        self._builder, self._device, self._dtype, self._via = builder, device, dtype, via
        self._encoder: VideoEncoder | None = None
        self._alone: PerChannelStatistics | None = None

    def __call__(self, *args: object, **options: object) -> torch.Tensor:
        return self._whole()(*args, **options)

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole(), name)

    @property
    def per_channel_statistics(self) -> PerChannelStatistics:
        """The encoder's own, equal bit for bit."""
        if self._encoder is None and self._alone is None:
            self._alone = _statistics(self._builder, self._device, self._dtype)
        return self._whole().per_channel_statistics if self._alone is None else self._alone

    def dispose(self) -> None:
        """Let go of what was built, as upstream disposes of the encoder."""
        if self._encoder is not None:
            self._encoder.dispose()

    def _whole(self) -> VideoEncoder:
        if self._encoder is None:
            encoder = self._builder.build(device=self._via or self._device, dtype=self._dtype)
            self._encoder = (encoder if self._via is None else encoder.to(self._device)).eval()
        return self._encoder


@dataclass(frozen=True)
class _StatisticsAlone(SDOps):
    """The operations `inner` on the statistics; the other weights are left in the file."""

    inner: SDOps | None = None

    def apply_to_key(self, key: str) -> str | None:
        name = self.inner.apply_to_key(key)
        return name if name is not None and name.startswith(f"{_STATISTICS}.") else None

    def apply_to_key_value(self, key: str, value: torch.Tensor) -> list[KeyValueOperationResult]:
        return self.inner.apply_to_key_value(key, value)


def _statistics(
    builder: SingleGPUModelBuilder[VideoEncoder], device: torch.device, dtype: torch.dtype
) -> PerChannelStatistics | None:
    """Return the statistics as `builder` would load them; None where its files lack some, which it tells of itself."""
    paths = [builder.model_path] if isinstance(builder.model_path, str) else list(builder.model_path)
    ops = _StatisticsAlone(f"{builder.model_sd_ops.name}+{_STATISTICS}", inner=builder.model_sd_ops)
    loaded = builder.load_sd(paths, registry=DummyRegistry(), device=device, sd_ops=ops).sd
    values = {name.removeprefix(f"{_STATISTICS}."): value.to(dtype) for name, value in loaded.items()}
    with torch.device("meta"):
        statistics = PerChannelStatistics(max((len(value) for value in values.values()), default=0))
    return None if statistics.load_state_dict(values, strict=False, assign=True).missing_keys else statistics
