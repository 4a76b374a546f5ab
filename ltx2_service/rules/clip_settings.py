"""What a clip was made from, for whoever has its file."""

from __future__ import annotations

from typing import Any

from ltx2_service.values.job import Job


def settings_of(job: Job) -> dict[str, Any]:
    """What JSON can hold of a clip's settings: nothing of this machine or of who asked."""
    wanted = job.wanted
    return {
        "id": job.id,
        "prompt": wanted.prompt,
        "negative_prompt": wanted.negative_prompt,
        "model": wanted.model,
        "width": wanted.width,
        "height": wanted.height,
        "num_frames": wanted.num_frames,
        "frame_rate": wanted.frame_rate,
        "seed": wanted.seed,
        "num_inference_steps": wanted.steps,
        "enhance": wanted.enhance_prompt,
        "pictures": [{"frame": one.frame, "strength": one.strength} for one in wanted.pictures],
        "remixed_from_video_id": wanted.remixed_from,
        "series": job.series,
        "created_s": job.created_s,
        "seconds_taken": job.seconds,
    }
