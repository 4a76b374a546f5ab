"""A copy of a clip that has its settings inside, made by the PyAV of the environment that made it.

They stand in the container's `comment`, as JSON: where players, editors and ffprobe show what a
file says of itself. Nothing is encoded anew.
"""

from __future__ import annotations

from pathlib import Path

from ltx2_service.boundaries.beside import make_beside

_PROGRAM = """
import sys
import av
clip, place = sys.argv[1:]
comment = sys.stdin.buffer.read().decode("utf-8")
with av.open(clip) as source, av.open(place, "w", format="mp4") as made:
    made.metadata.update(source.metadata)
    made.metadata["comment"] = comment
    streams = {stream: made.add_stream_from_template(stream) for stream in source.streams}
    for stream, copy in streams.items():
        copy.time_base = stream.time_base
    for packet in source.demux():
        if packet.dts is not None:
            packet.stream = streams[packet.stream]
            made.mux(packet)
print("made")
"""


def make_tagged(python: Path, clip: Path, place: Path, comment: str) -> None:
    """A copy of a clip with a comment, packet by packet the same.

    Raises: OutsideError where the clip can't be read or the copy not written.
    """
    make_beside(python, _PROGRAM, clip, place, stdin=comment.encode("utf-8", "backslashreplace"))
