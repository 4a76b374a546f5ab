"""How machines become nodes, and what things are called in their cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.cluster_names import machine_name, namespace_of, worker_name
from ltx2_service.rules.ray_start import start_words, variables_of
from ltx2_service.values.settings import Cluster

CLUSTER = Cluster("10.0.0.1:6379", Path("/mnt/ltx2"), Path("/etc/token"))


def test_a_node_joins_the_head_with_the_token_and_keeps_its_memory() -> None:
    head, node = (start_words(CLUSTER, "render1", head=head) for head in (True, False))
    assert {"--head", "--port=6379", "--node-ip-address=10.0.0.1"} <= {*head}
    assert "--address=10.0.0.1:6379" in node
    assert "--head" not in node
    for words in (head, node):
        assert {"--block", "--node-name=render1", "--object-store-memory=134217728"} <= {*words}
        assert not any(word.startswith(("--num-gpus", "--resources")) for word in words)
    variables = variables_of(CLUSTER, Path("/opt/ltx2"))
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_AUTH_TOKEN_PATH"] == "/etc/token"
    assert variables["RAY_memory_monitor_refresh_ms"] == "0"
    assert variables["PYTHONPATH"] == "/opt/ltx2"


def test_a_node_without_cuda_is_one_card() -> None:
    words = start_words(replace(CLUSTER, card="cpu"), "render1", head=False)
    assert {"--num-gpus=0", '--resources={"cpu": 1}'} <= {*words}


@given(st.text())
def test_any_machine_has_a_name_that_files_can_have(said: str) -> None:
    name = machine_name(said)
    assert name
    assert not name.startswith(".")
    assert not {*name} & {*"/\0: "}
    assert machine_name(name) == name


def test_names_are_of_the_machine_and_the_shared_folder() -> None:
    assert worker_name(None, 1) == "gpu1"
    assert worker_name("render1", 1) == "render1-gpu1"
    other = replace(CLUSTER, shared=Path("/mnt/other"))
    assert namespace_of(CLUSTER) != namespace_of(other)
    assert namespace_of(CLUSTER) == namespace_of(replace(CLUSTER, address="10.0.0.2:1"))
