"""The linear layers of a block of LTX-2, as they are run: what a measurement of products is of; pure.

19B, 2.3 and 2.5 have the same, but for biases of the feed-forwards (2.5) and gates, which stay in bf16.
"""

from __future__ import annotations

from dataclasses import dataclass

VIDEO_TOKENS = (1536, 6144, 24576)
"""768x512 with 121 frames in two stages' first and second, and four times as many."""
AUDIO_TOKENS, TEXT_TOKENS = 126, 1024
"""Of five seconds of sound, and of a prompt."""

_VIDEO, _AUDIO = 4096, 2048


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows that are quantized once, and the layers that they go through."""

    name: str
    rows: int
    into: int
    outs: tuple[int, ...]  # a weight (out, into) each
    gelu: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, out, into) of each product."""
        return tuple((self.rows, out, self.into) for out in self.outs)


def passes(video: int, audio: int = AUDIO_TOKENS, text: int = TEXT_TOKENS) -> tuple[Pass, ...]:
    """Return the passes of one block, 28 layers, for so many tokens of each kind."""
    made = []
    for prefix, rows, width in (("", video, _VIDEO), ("audio_", audio, _AUDIO)):
        made += [
            Pass(f"{prefix}attn1.to_q, k, v", rows, width, (width,) * 3),
            Pass(f"{prefix}attn1.to_out", rows, width, (width,)),
            Pass(f"{prefix}attn2.to_q", rows, width, (width,)),
            Pass(f"{prefix}attn2.to_k, v", text, width, (width,) * 2),
            Pass(f"{prefix}attn2.to_out", rows, width, (width,)),
            Pass(f"{prefix}ff.net.0", rows, width, (4 * width,)),
            Pass(f"{prefix}ff.net.2", rows, 4 * width, (width,), gelu=True),
        ]
    made += [
        Pass("audio_to_video_attn.to_q", video, _VIDEO, (_AUDIO,)),
        Pass("audio_to_video_attn.to_k, v", audio, _AUDIO, (_AUDIO,) * 2),
        Pass("audio_to_video_attn.to_out", video, _AUDIO, (_VIDEO,)),
        Pass("video_to_audio_attn.to_q", audio, _AUDIO, (_AUDIO,)),
        Pass("video_to_audio_attn.to_k, v", video, _VIDEO, (_AUDIO,) * 2),
        Pass("video_to_audio_attn.to_out", audio, _AUDIO, (_AUDIO,)),
    ]
    return tuple(made)
