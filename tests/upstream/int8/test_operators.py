"""How kernels are launched: at once what was compiled before, and whole through torch.compile."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch._functorch.aot_autograd import aot_module_simplified
from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

pytest.importorskip("triton", reason="launches are Triton's")

from ltx_core.int8 import operators
from ltx_core.int8.rows import Rows
from ltx_core.int8.tiles import Line, Table, Tile

from tests.upstream.int8.absent_card import AbsentCard, taking_launches

pytestmark = [
    pytest.mark.core,
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]

TABLE = Table(
    (
        Line(256, None, Tile(64, 64, 128, warps=4, stages=4)),
        Line(None, None, Tile(128, 128, 128, warps=8, stages=3)),
    )
)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[AbsentCard]:
    if torch.cuda.is_available():
        pytest.skip("a card is here")
    monkeypatch.setattr(operators, "table_of", cache(lambda _device: TABLE))
    operators.forget()
    with taking_launches() as made:
        yield made
    operators.forget()


@pytest.mark.parametrize("biased", [True, False])
def test_a_launch_like_one_before_is_given_the_same(card: AbsentCard, biased: bool) -> None:
    """The second goes past Triton's look at each argument, and must not mix them up."""
    rows = Rows(torch.zeros(2, 100, 512, dtype=torch.int8), torch.ones(2, 100))
    weight = Rows(torch.zeros(64, 512, dtype=torch.int8), torch.ones(64))
    bias = torch.zeros(64, dtype=torch.bfloat16) if biased else None
    outs = [operators.multiplied(rows, weight, bias, torch.bfloat16) for _ in range(2)]
    given = [rows.codes, rows.scales, *weight, bias]
    places = [None if one is None else one.data_ptr() for one in given]
    # 200 rows by 64 columns in tiles of 64 x 64 x 128, with as many blocks of rows to a band.
    shape = (200, 64, 512, biased, True, False, 64, 64, 128, 8)
    assert card.launches() == [(4, 1, 1, *places, out.data_ptr(), *shape) for out in outs]


def test_a_copy_engine_is_given_descriptors(
    card: AbsentCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And pointers where what it would read does not begin at a multiple of 16 bytes."""
    table = Table((Line(None, None, Tile(64, 128, 128, 4, 3, bulk=True)),))
    monkeypatch.setattr(operators, "table_of", cache(lambda _device: table))
    scales = torch.ones(2, 100), torch.ones(64)
    held = torch.zeros(64 * 512 + 8, dtype=torch.int8)
    weight = Rows(held[: 64 * 512].view(64, 512), scales[1])
    rows = Rows(torch.zeros(2, 100, 512, dtype=torch.int8), scales[0])
    outs = [operators.multiplied(rows, weight, None, torch.bfloat16) for _ in range(2)]
    codes, stored = (one.data_ptr() for one in (rows.codes, held))
    # Of bytes, 128 of them swizzled together; zeros lie beyond an end.
    left = (codes, 3, 1, 0, (64, 128), (200, 512), (512, 1), 0), 200, 512, 512, 1
    right = (stored, 3, 1, 0, (128, 128), (64, 512), (512, 1), 0), 64, 512, 512, 1
    by_scale, by_weight_scale = (one.data_ptr() for one in scales)
    shape = (200, 64, 512, False, True, True, 64, 128, 128, 8)
    assert card.launches() == [
        (4, 1, 1, *left, by_scale, *right, by_weight_scale, None, out.data_ptr(), *shape)
        for out in outs
    ]
    uneven = Rows(held[8:].view(64, 512), scales[1])
    out = operators.multiplied(rows, uneven, None, torch.bfloat16)
    shape = (200, 64, 512, False, True, False, 64, 128, 128, 8)
    assert card.launches() == [
        (
            *(4, 1, 1, codes, by_scale, stored + 8, by_weight_scale, None, out.data_ptr()),
            *shape,
        )
    ]


def test_rows_are_launched_like_rows_before(card: AbsentCard) -> None:
    x = torch.zeros(3, 5, 512, dtype=torch.bfloat16)
    made = [operators.rows_of(x, 256, gelu=False) for _ in range(2)]
    assert card.launches() == [
        (15, 1, 1, x.data_ptr(), codes.data_ptr(), scales.data_ptr(), 512, 512, 512, 256, False)
        for codes, scales in made
    ]


def test_other_rows_are_launched_otherwise(card: AbsentCard) -> None:
    """Also where only one of the things that decide a launch is another."""
    x = torch.zeros(8, 1024, dtype=torch.bfloat16)
    for given, group, gelu in (
        (x[:, :512].contiguous(), 256, False),
        (x[:, :512].contiguous(), 256, True),
        (x[:, :512].contiguous(), None, False),
        (x[:4, :512].contiguous(), 256, False),
        (x[:, :512], 256, False),  # with a stride of its own
        (x[:, 4:516], 256, False),  # not at a multiple of 16 bytes
        (x.t()[:512, :].t().contiguous(), 256, False),
    ):
        for _ in range(2):
            rows = operators.rows_of(given, group, gelu=gelu)
            assert card.launches() == [
                (
                    *(given.shape[0], 1, 1),
                    *(given.data_ptr(), rows.codes.data_ptr(), rows.scales.data_ptr()),
                    *(given.stride(0), 512, 512, group or 1, gelu),
                )
            ]


def test_a_dtype_has_a_kernel_of_its_own(card: AbsentCard) -> None:
    x = torch.zeros(8, 512)
    for dtype in (torch.bfloat16, torch.float16, torch.bfloat16):
        operators.rows_of(x.to(dtype), 256, gelu=False)
    kernels = operators.rows_kernel.device_caches[0][0].values()
    signatures = {one.src.signature["x"] for one in kernels}
    assert {"*bf16", "*fp16"} <= signatures
    assert len(card.launches()) == 3


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_graph_holds_both_kernels_and_no_break(card: AbsentCard, dynamic: bool) -> None:
    """On tensors of a card that is not here; nothing but their outputs counts as written to."""
    graphs: list[torch.fx.GraphModule] = []

    def kept(gm: torch.fx.GraphModule, example_inputs: Any) -> torch.fx.GraphModule:
        assert example_inputs
        graphs.append(gm)
        return gm

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        return aot_module_simplified(graph, inputs, fw_compiler=kept)

    def layer(x: torch.Tensor, weight: Rows, bias: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = operators.rows_of(torch.nn.functional.silu(x), 256, gelu=True)
        biased = operators.multiplied(rows, weight, bias, torch.bfloat16)
        return biased, operators.multiplied(rows, weight, None, torch.bfloat16)

    torch._dynamo.reset()
    with FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True), torch.no_grad():
        there = torch.device("cuda:0")
        x = torch.empty(1, 1536, 4096, dtype=torch.bfloat16, device=there)
        codes = torch.empty(4096, 4096, dtype=torch.int8, device=there)
        weight = Rows(codes, torch.empty(4096, device=there))
        bias = torch.empty(4096, dtype=torch.bfloat16, device=there)
        through = torch.compile(layer, fullgraph=True, backend=backend, dynamic=dynamic)
        outs = through(x, weight, bias)
    assert [out.shape for out in outs] == [(1, 1536, 4096)] * 2
    (graph,) = graphs
    launches = [node for node in graph.graph.nodes if "triton_kernel_wrapper" in str(node.target)]
    assert [sorted(node.kwargs["tensors_to_clone"]) for node in launches] == [
        ["codes", "scales"],
        ["out"],
        ["out"],
    ]
    compiled_as = [
        (config.num_warps, config.num_stages)
        for node in launches
        for config in vars(kernel_side_table.get_kernel(node.kwargs["kernel_idx"]))["configs"]
    ]
    tile = TABLE.tile(1536, (4096, 4096))
    assert [warps for warps, _ in compiled_as] == [4, tile.warps, tile.warps]
    assert [stages for _, stages in compiled_as[1:]] == [tile.stages] * 2
    grids = [node.kwargs["grid"][0][0] for node in launches]
    assert all(isinstance(grid, torch.fx.Node) for grid in grids) is dynamic
    assert not card.launches()
