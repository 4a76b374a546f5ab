"""Where a card hangs, as sysfs has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_service.boundaries.card import cpus_near


@pytest.mark.parametrize(("node", "cpus"), [("1\n", "16-31,48-63"), ("-1\n", "")])
def test_the_cpus_of_its_node(tmp_path: Path, node: str, cpus: str) -> None:
    device = tmp_path / "bus/pci/devices/0000:c1:00.0"
    device.mkdir(parents=True)
    (device / "numa_node").write_text(node)
    nodes = tmp_path / "devices/system/node/node1"
    nodes.mkdir(parents=True)
    (nodes / "cpulist").write_text("16-31,48-63\n")
    assert cpus_near("00000000:C1:00.0", tmp_path) == cpus
    assert cpus_near("00000000:65:00.0", tmp_path) == ""
