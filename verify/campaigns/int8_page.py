"""docs/int8.md: the kernels of int8 products, in tables made from verify/baselines/.

    PYTHONPATH=<tree>/packages/ltx-core/src python -m verify.campaigns.int8_page [--check]

Writes it; with --check it ends with 1 where it says something else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ltx_core.int8.block import VIDEO_TOKENS, passes
from ltx_core.int8.tiles import SHARED_BYTES

from verify import command
from verify.campaigns.int8 import STEP
from verify.campaigns.pages import bring_up_to_date, page_parser, table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "int8.md"
_PROGRAM = "verify.campaigns.int8_page"
BASELINES = ROOT / "verify" / "baselines"
_BF16_FLOPS, _INT8_OPS, _BYTES_PER_S = 71e12, 284e12, 936e9
"""Of an RTX 3090, dense, as NVIDIA's paper on GA102 has them: bf16 with sums in float32."""
_PAGE = """\
# Int8 products: kernels, tiles, errors

<!-- Made by `python -m verify.campaigns.int8_page` from verify/baselines/: change those. -->

A linear layer of a block is two kernels (`ltx_core/int8/kernels.py`). One quantizes rows: it reads
a token's channels once, puts them through GELU where they come from an up projection, rotates each
256 of them by two products with matrices of 16, and writes 8-bit codes with one scale. q, k and v
share what it made. The other multiplies codes in int32, exactly, and rounds once after both scales
and the bias. Both equal the plain torch beside them (`rows.py`, `product.py`): sums bit for bit,
outputs within one step of bf16, codes within one.

## Take it

`--quantization int8`, on 1.0.0 and 1.2.0, in every script and with every flag but `--offload`
(`--vram-budget` does more, and the clip is the same with it). From Python, a pipeline takes
`quantization=int8_policy(checkpoint)` of `ltx_core.int8.policy`. It takes

- the published checkpoints in bf16 or fp8, whose layers it quantizes while they load, on the card
  where there is one;
- ComfyUI's int8_tensorwise files, with and without ConvRot, as they are (`ltx2-patcher inspect`
  says what a file is; [`convert`](convert.md) writes one, and makes a checkpoint of a transformer
  alone);
- LoRAs of any layout, added to the values of the integers.

Integers are the linear layers of attention and feed-forward in each block, those that fp8-cast
takes: the same bytes, and about two fifths of its error, below. `--int8-keep-ends` leaves the first
block and the last in bf16. `--int8-unrotated` leaves the rotation out: with outliers among the
channels of activations, as trained models have them, that is worse than fp8-cast. A file of
integers has settled both.

## Your card

`ltx2-patcher doctor --bench` measures your card, about a minute: what the layers of a block take in
bf16, by fp8-cast and by int8, and which tile is the fastest for each product. It keeps the tiles in
the cache folder (`~/.cache/ltx2-patcher/int8/`), by the card's name, Triton's version and the
kernels' code, and scripts take them from then on; `--json` gives the whole for an issue. Without it
they work in tiles chosen by what a card has, below. Needed are compute capability 8.0, Triton (it
comes with torch for CUDA), and a card that does nothing else. Triton compiles no int8 product for a
Turing card (7.5).

## What each kernel takes of a card

Compiled for cards that need not be here (`python -m verify.campaigns.int8_resources`); nothing
spills. A tile is rows x columns x terms. Shared memory ends at {limits}.
Tiles for 9.0 are measured, on an H200; all others are chosen by these resources and **not
measured**.

{resources}
## What a block takes

{speed}
On an RTX 3090 `doctor --bench` can print no less than this, by its data sheet (71 TFLOP/s in bf16
with sums in float32, 284 TOP/s in int8, 936 GB/s): products at the full rate, and the bytes that
fp8-cast moves to widen its weights and int8 to quantize its rows. In practice a good kernel gets
60 to 80 % of such a rate.

{floors}
## What a step takes

A call of the whole 19B transformer in eager mode, attention and all that is no linear layer
included, which is the same in each. A step of fewer tokens waits for the host on a card like this.
`make release` says which of these tables are of older code than the kernels are.

{steps}
## How far they are from float64

Norm of the difference over that of the product, in percent; {rows} rows of x and {columns} of W at
each layer's true width, both normal, x with one channel in 400 thirty times as large where it says
outliers. Those of `ff.net.2` have gone through GELU. fp8-scaled-mm has its input's scale from other
inputs of the kind, as a calibrated file does.

{errors}
LTX-2.3's whole transformer with random weights, {tokens} video tokens: what becomes of its outputs,
against bf16.

{outputs}
What the layers of its middle block are given there, which is nearer to normal than what trained
weights make:

{activations}"""


def resources(report: dict[str, Any]) -> str:
    """A row a kernel, cards side by side where they are alike."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for card, rows in report["cards"].items():
        for row in rows:
            if "tile" in row:
                m, n, k, warps, stages, bulk = row["tile"].values()
                what = f"product, {m} x {n} x {k}, {warps} warps, {stages} stages"
                what += ", bulk" if bulk else ""
            else:
                what = f"rows of {row['rows_of']}{' through GELU' if row['gelu'] else ''}"
            shared = f"{row['shared_bytes'] >> 10}" if row["shared_bytes"] >> 10 else "under 1"
            line = (what, str(row["registers"]), shared, row["matrix"] or "none")
            lines.setdefault(line, []).append(card)
    head = ("kernel", "registers a thread", "shared memory, KiB", "matrix instruction", "cards")
    order = {what: at for at, what in enumerate(dict.fromkeys(line[0] for line in lines))}
    rows = sorted(lines, key=lambda line: order[line[0]])
    return table(head, [(*line, ", ".join(lines[line])) for line in rows])


def limits() -> str:
    """Which cards have how much shared memory for a block of threads."""
    cards: dict[int, list[str]] = {}
    for (major, minor), limit in SHARED_BYTES.items():
        cards.setdefault(limit >> 10, []).append(f"{major}.{minor}")
    return ", ".join(f"{kib} KiB on {' and '.join(of)}" for kib, of in sorted(cards.items()))


def speed(reports: Sequence[dict[str, Any]]) -> str:
    """A row a count of tokens, a table a card."""
    head = ("video tokens", "bf16, ms", "fp8-cast, ms", "int8, ms", "times fp8-cast", "times bf16")
    tables = []
    for report in reports:
        rows = []
        for row in report["rows"].values():
            if "video_tokens" in row:
                bf16, fp8, int8 = (row["ms"][way] for way in ("bf16", "fp8_cast", "int8"))
                times = (f"{fp8 / int8:.2f}", f"{bf16 / int8:.2f}")
                ms = (f"{one:.2f}" for one in (bf16, fp8, int8))
                rows.append((str(row["video_tokens"]), *ms, *times))
        tables.append(f"{table(head, rows)}\nOn: {report['machine']}, {report['date']}.\n")
    return "\n".join(tables)


def floors() -> str:
    """The least that a block can take on an RTX 3090, by arithmetic and bytes."""
    rows = []
    for video in VIDEO_TOKENS:
        made = passes(video)
        shapes = [shape for of in made for shape in of.shapes]
        operations = sum(2 * count * out * into for count, out, into in shapes)
        # Read in fp8, written and read again in bf16, where the product alone reads it once.
        widened = sum(3 * out * into for _, out, into in shapes) / _BYTES_PER_S
        quantized = sum(3 * of.rows * of.into for of in made) / _BYTES_PER_S
        bf16 = operations / _BF16_FLOPS
        ways = (bf16, bf16 + widened, operations / _INT8_OPS + quantized)
        rows.append((str(video), *(f"{1e3 * one:.1f}" for one in ways)))
    return table(("video tokens", "bf16, ms", "fp8-cast, ms", "int8, ms"), rows)


def steps(reports: Sequence[dict[str, Any]]) -> str:
    """A row a card."""
    head = ("card", "video tokens", "bf16, s", "fp8-cast, s", "int8, s", "times fp8-cast")
    rows = []
    for report in reports:
        if (step := report["rows"].get(STEP)) is not None:
            bf16, fp8, int8 = (step["s"][way] for way in ("bf16", "fp8_cast", "int8"))
            seconds = (f"{one:.2f}" for one in (bf16, fp8, int8))
            rows.append((report["machine"], str(step["tokens"]), *seconds, f"{fp8 / int8:.2f}"))
    return table(head, rows)


def errors(layers: Sequence[dict[str, Any]]) -> str:
    """A row a kind of layer and inputs."""
    ways = list(layers[0]["errors"])
    rows = [
        (
            f"`{row['layer']}`",
            str(row["into"]),
            row["inputs"],
            *(f"{100 * row['errors'][way]:.2f}" for way in ways),
        )
        for row in layers
    ]
    return table(("layer", "K", "inputs", *ways), rows)


def outputs(transformer: dict[str, Any]) -> str:
    """A row a way."""
    rows = [
        (way, *(f"{100 * part:.1f}" for part in found.values()))
        for way, found in transformer["outputs"].items()
    ]
    return table(("", "video, %", "audio, %"), rows)


def page(folder: Path = BASELINES) -> str:
    """The whole of docs/int8.md."""
    from verify.campaigns.int8_errors import COLUMNS, ROWS

    (compiled,) = _read(folder, "int8_resources")
    (erring,) = _read(folder, "int8_errors")
    measured = _read(folder, "int8")
    kinds = {row["layer"] for row in erring["layers"]}
    return _PAGE.format(
        resources=resources(compiled),
        limits=limits(),
        speed=speed(measured),
        steps=steps(measured),
        floors=floors(),
        rows=ROWS,
        columns=COLUMNS,
        errors=errors(erring["layers"]),
        tokens=erring["transformer"]["video_tokens"],
        outputs=outputs(erring["transformer"]),
        activations=errors(
            [row for row in erring["transformer"]["layers"] if row["layer"] in kinds]
        ),
    )


def _read(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob(f"{kind}-*.json"))]


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    return page_parser(_PROGRAM, PAGE)


def run(args: argparse.Namespace) -> int:
    """0 where docs/int8.md says what the baselines say, or does so now."""
    return bring_up_to_date(PAGE, page(), _PROGRAM, check=args.check)


main = partial(command.main, parser, run)

if __name__ == "__main__":
    raise SystemExit(main())
