"""What OpenAI's own client does with the service; run in an environment that has nothing else.

python openai_session.py ADDRESS CLIP PICTURE: CLIP is the file that each video has to be.
"""

from __future__ import annotations

import base64
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")  # 3.x calls videos deprecated, and has them all

import openai  # type: ignore[import-not-found]  # noqa: E402

address, clip, picture = sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
version = tuple(int(part) for part in openai.__version__.split(".")[:2])
client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
videos = client.videos

first = videos.create(prompt="A cat", model="small", seconds="8", size="768x512")
assert (first.object, first.status, first.progress) == ("video", "queued", 0), first
assert (first.seconds, first.size, first.model) == ("8", "768x512", "small"), first

done = videos.create_and_poll(prompt="A dog")
assert (done.status, done.progress, done.error) == ("completed", 100, None), done
assert done.completed_at and done.expires_at, done
assert done.prompt == "A dog", done

failed = videos.create_and_poll(prompt="fail")
assert failed.status == "failed", failed
assert failed.error and failed.error.code == "script_failed", failed

stays = videos.create(prompt="stay")
assert videos.delete(stays.id).deleted is False  # it is cancelled, and still there
cancelled = videos.poll(stays.id)
assert cancelled.status == "failed", cancelled
assert cancelled.error and cancelled.error.code == "cancelled", cancelled
assert cancelled.error.message and cancelled.completed_at is None, cancelled
assert videos.delete(stays.id).deleted is True

url = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
beside = {
    "seed": 7,
    "num_frames": 33,
    "frame_rate": 25.0,
    "enhance": True,
    "negative_prompt": "blur",
    "images": [{"image_url": url, "frame": 16, "strength": 0.5}],
}
with picture.open("rb") as file:
    references: list[dict[str, Any]] = [
        {"input_reference": one}
        for one in (picture, picture.read_bytes(), io.BytesIO(picture.read_bytes()), file)
    ]
    # The client refuses what its own types allow here, but sends it on as an extra field.
    references.append({"extra_body": {"input_reference": {"image_url": url}}})
    for at, reference in enumerate(references):
        more = videos.create(
            prompt="It moves",
            extra_headers={"Idempotency-Key": f"key-{at}"},
            **{**reference, "extra_body": beside | reference.get("extra_body", {})},
        )
        extra = more.model_dump()
        assert (extra["seed"], extra["num_frames"], extra["enhance"]) == (7, 33, True), extra
        assert [one["frame"] for one in extra["pictures"]] == [0, 16], extra

again = videos.retrieve(done.id)
assert again.id == done.id
assert videos.poll(more.id).status == "completed"

ids = [video.id for video in videos.list(limit=2)]  # pages on by itself
assert len(ids) == len(set(ids)) == 3 + len(references), ids
oldest = next(iter(videos.list(order="asc")))
assert oldest.id == first.id

assert videos.download_content(done.id).read() == clip
for variant in ("thumbnail", "spritesheet"):
    assert videos.download_content(done.id, variant=variant).read()

remixed = videos.remix(done.id, prompt="A red dog")
assert remixed.remixed_from_video_id == done.id
assert videos.poll(remixed.id).prompt == "A red dog"

assert videos.delete(remixed.id).deleted
calls: tuple[Callable[[], object], ...] = (
    lambda: videos.retrieve(remixed.id),
    lambda: videos.download_content(remixed.id),
    lambda: videos.delete("video_0"),
)
for call in calls:
    try:
        call()
    except openai.NotFoundError as error:
        assert error.code == "video_not_found", error
    else:
        raise AssertionError(call)

try:
    videos.create(prompt="x", model="sora-2")
except openai.BadRequestError as error:
    assert error.code == "model_not_found", error
    assert "small" in error.message, error
else:
    raise AssertionError("a model that is not there")

if version >= (2, 27):
    for call in (
        lambda: videos.edit(prompt="x", video=clip),
        lambda: videos.extend(prompt="x", seconds="4", video=clip),
        lambda: videos.create_character(name="x", video=clip),
    ):
        try:
            call()
        except openai.BadRequestError as error:
            assert error.code == "unsupported", error
        else:
            raise AssertionError(call)
print(openai.__version__)
