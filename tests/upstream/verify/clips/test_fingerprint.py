"""Weight files are told apart without being read whole."""

import json
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from verify.clips.fingerprint import BLOCK_BYTES, BLOCKS, fingerprint, sampled


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 40))
def test_spans_are_disjoint_and_hold_both_ends(start: int, length: int) -> None:
    spans = sampled(start, start + length)
    assert spans[0][0] == start
    assert sum(spans[-1]) == start + length
    for (at, count), (following, _) in pairwise(spans):
        assert at + count <= following
    assert sum(count for _, count in spans) == min(length, BLOCKS * BLOCK_BYTES)


def _write(path: Path, *, names: str = "a", fill: int = 0, data_bytes: int = 9 << 20) -> Path:
    """A sparse safetensors file, with one byte in its middle block."""
    header = json.dumps({names: {"dtype": "U8", "shape": [data_bytes], "data_offsets": []}})
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header.encode())
        start = file.tell()
        file.truncate(start + data_bytes)
        file.seek(sampled(start, start + data_bytes)[BLOCKS // 2][0])
        file.write(bytes([fill]))
    return path


def test_another_header_size_or_content_is_another_file(tmp_path: Path) -> None:
    plain = fingerprint(_write(tmp_path / "a.safetensors"))
    assert fingerprint(_write(tmp_path / "copy.safetensors")) == plain  # the name does not count
    others = [
        _write(tmp_path / "names.safetensors", names="b"),
        _write(tmp_path / "size.safetensors", data_bytes=(9 << 20) + 1),
        _write(tmp_path / "content.safetensors", fill=1),
    ]
    assert len({plain, *map(fingerprint, others)}) == 4


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "config.json").write_text("{}", encoding="utf-8")
    before = fingerprint(tmp_path)
    (tmp_path / "below" / "config.json").rename(tmp_path / "below" / "other.json")
    renamed = fingerprint(tmp_path)
    (tmp_path / "empty.json").touch()
    assert len({before, renamed, fingerprint(tmp_path)}) == 3
