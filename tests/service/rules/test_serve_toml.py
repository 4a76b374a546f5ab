"""serve.toml: what it says becomes settings, and what it can't mean is refused with a remedy."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tested
from hypothesis import strategies as st

from ltx2_patcher.values.errors import UsageError
from ltx2_service.rules.access import refuse_open_door
from ltx2_service.rules.serve_toml import (
    changed,
    parse_gpus,
    parse_settings,
)
from ltx2_service.values.settings import Cluster, Limits, Model, Settings
from tests.conftest import ROOT

FILE, TREE, HOME = Path("/srv/ltx2/serve.toml"), Path("/opt/toolkit"), Path("/homes/person")
LEAST = """
state = "state"
clips = "/clips"
[[models]]
name = "fast"
base = "1.2.0"
pipeline = "distilled"
[models.files]
distilled_checkpoint_path = "weights/d.safetensors"
"""
WHOLE = """
host = "0.0.0.0"
port = 7000
gpus = [0, 2]
state = "~/state"
clips = "clips"
image_root = "/pictures"
weights_folder = "/dev/shm/ltx2"
retain_days = 7
logs_prompts = true
lease_s = 10
orphan_s = 60.5
drain_s = 5
[tokens]
studio = "0123456789abcdef"
[limits]
queued = 5
body_bytes = 2048
body_s = 3
picture_pixels = 1000
wait_s = 30
[[models]]
name = "best"
base = "1.0.0"
pipeline = "ti2vid-two-stages"
flags = ["--quantization", "fp8-cast"]
vram_budget = 8
host_budget = "auto"
run_limit_s = 1200
[models.files]
checkpoint_path = "/w/dev.safetensors"
gemma-root = "~/gemma"
"""


def parsed(text: str) -> Settings:
    return parse_settings(text, FILE, TREE, HOME)


def refused(text: str) -> str:
    with pytest.raises(UsageError) as raised:
        parsed(text)
    return f"{raised.value}; {raised.value.remedy}"


def test_the_least_file_has_the_usual_values() -> None:
    files = {"--distilled-checkpoint-path": Path("/srv/ltx2/weights/d.safetensors")}
    model = Model("fast", "1.2.0", "distilled", files)
    state = Path("/srv/ltx2/state")
    assert parsed(LEAST) == Settings((model,), state, Path("/clips"), tree=TREE)


def test_every_key_is_read() -> None:
    files = {
        "--checkpoint-path": Path("/w/dev.safetensors"),
        "--gemma-root": HOME / "gemma",
    }
    assert parsed(WHOLE) == Settings(
        models=(
            Model(
                "best",
                "1.0.0",
                "ti2vid_two_stages",
                files,
                flags=("--quantization", "fp8-cast"),
                vram_budget=8.0,
                run_limit_s=1200.0,
            ),
        ),
        state=HOME / "state",
        clips=Path("/srv/ltx2/clips"),
        host="0.0.0.0",
        port=7000,
        gpus=(0, 2),
        tokens={"0123456789abcdef": "studio"},
        image_root=Path("/pictures"),
        weights_folder=Path("/dev/shm/ltx2"),
        retain_days=7.0,
        logs_prompts=True,
        limits=Limits(queued=5, body_bytes=2048, body_s=3.0, picture_pixels=1000, wait_s=30.0),
        lease_s=10.0,
        orphan_s=60.5,
        drain_s=5.0,
        tree=TREE,
    )


def test_every_setting_can_be_set() -> None:
    """Each differs from the usual in WHOLE; host_budget alone has the same way to be written, and a
    cluster is in RAY.
    """
    whole, usual = parsed(WHOLE), parsed(LEAST)
    for got, other in (
        (whole, usual),
        (whole.limits, usual.limits),
        (whole.models[0], usual.models[0]),
    ):
        alike = {f.name for f in fields(got) if getattr(got, f.name) == getattr(other, f.name)}
        assert alike <= {"tree", "host_budget", "cluster"}


@pytest.mark.parametrize("name", ["serve.example.toml", "ltx2_service/demo.toml"])
def test_the_files_that_people_start_from_can_be_read(name: str) -> None:
    file = ROOT / name
    refuse_open_door(parse_settings(file.read_text("utf-8"), file, ROOT, HOME))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("port = 7000", "prot = 7000", 'no setting "prot"; write port'),
        ("queued = 5", "queue = 5", "limits: there is no setting"),
        ("pipeline =", "pipelin =", "model best: pipeline is lacking"),
        ("[models.files]", "[models.flies]", "model best: it names no files"),
        ("port = 7000", "port = 70000", "port is 70000; it must be a number from 0 to 65535"),
        ("port = 7000", "port = true", "port is true; it must be a whole number"),
        ("port = 7000", 'port = "7000"', 'port is "7000"'),
        ("gpus = [0, 2]", "gpus = [0, 0]", "gpus names no card, or one twice"),
        ("gpus = [0, 2]", "gpus = [-1]", "gpus is [-1]"),
        ("gpus = [0, 2]", "gpus = [true]", "gpus is [true]"),
        ('state = "~/state"', "", "state is lacking; add state"),
        ('state = "~/state"', 'state = " "', 'state is " "; it must be a text'),
        ("retain_days = 7", "retain_days = 0", "retain_days is 0.0; it must be a number above 0"),
        ("retain_days = 7", "retain_days = nan", "it must be a number above 0"),
        ('"0123456789abcdef"', '"secret"', "the token of studio is short"),
        (
            '"0123456789abcdef"',
            '"0123456789abcdef"\nother = "0123456789abcdef"',
            "other and studio have one token",
        ),
        ('name = "best"', 'name = "a b"', 'the name "a b"'),
        ('"fp8-cast"]', '"fp8-cast", "--seed=1"]', "the service gives --seed itself; leave it"),
        ('"fp8-cast"]', '"--vram-budget", "1"]', "gives --vram-budget itself; set vram_budget"),
        ('"fp8-cast"]', "8]", "flags is "),
        ("vram_budget = 8", 'vram_budget = "all"', 'vram_budget is "all"'),
        ("[tokens]", "tokens = 1\n[elsewhere]", "tokens is 1; it must be a table"),
        ("[[models]]", "[[", "is no TOML"),
        ("[[models]]", "[models]", "it must be a list"),
    ],
)
def test_what_can_not_be_meant_is_refused(before: str, after: str, told: str) -> None:
    assert before in WHOLE
    assert told in refused(WHOLE.replace(before, after))


def test_models_have_names_of_their_own() -> None:
    assert "two models are called fast" in refused(LEAST + LEAST.partition('clips"\n')[2])
    assert "there is no model" in refused('state = "s"\nclips = "c"')


_KEYS = st.sampled_from(
    ["host", "port", "gpus", "state", "clips", "tokens", "limits", "models", "files", "odd", ""]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_KEYS, below, max_size=3),
    max_leaves=6,
)


@tested(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_no_file_ends_in_anything_but_a_sentence(values: dict[str, object]) -> None:
    text = "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in values.items())
    try:
        parsed(text)
    except UsageError as error:
        assert str(FILE) in str(error)
        assert error.remedy


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return '""' if value is None else json.dumps(value)


def test_a_command_line_goes_before_the_file() -> None:
    settings = parsed(WHOLE)
    assert changed(settings) == settings
    given = changed(settings, host="::1", port=0, gpus=(1,))
    assert (given.host, given.port, given.gpus) == ("::1", 0, (1,))


def test_cards_of_a_command_line() -> None:
    assert parse_gpus("0,3") == (0, 3)
    for text in ("", "0,", "a", "1,1", "-1", "64"):
        with pytest.raises(UsageError):
            parse_gpus(text)


RAY = """
executor = "ray"
state = "/var/ltx2"
clips = "/mnt/ltx2/clips"
[ray]
address = "10.0.0.1:6379"
shared = "/mnt/ltx2"
token_file = "~/token"
[[models]]
name = "fast"
base = "1.2.0"
pipeline = "distilled"
[models.files]
distilled_checkpoint_path = "d.safetensors"
"""


def test_a_cluster_is_read() -> None:
    settings = parse_settings(RAY, FILE, TREE, HOME)
    cluster = Cluster("10.0.0.1:6379", Path("/mnt/ltx2"), HOME / "token", "GPU")
    assert settings.cluster == cluster
    assert settings.shared == Path("/mnt/ltx2")
    assert cluster.endpoint == ("10.0.0.1", 6379)
    assert replace(cluster, address="[fd00::1]:6379").endpoint == ("fd00::1", 6379)
    local = parse_settings(LEAST, FILE, TREE, HOME)
    assert local.cluster is None
    assert local.shared == local.state
    assert parse_settings('executor = "local"\n' + LEAST, FILE, TREE, HOME) == local


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"ray"', '"rays"', "there is no executor 'rays'; write local or ray"),
        ('executor = "ray"', "", "[ray] says nothing without executor"),
        ('executor = "ray"', 'executor = "ray"\ngpus = [0]', "leave gpus out"),
        ("10.0.0.1:6379", "10.0.0.1", "it must be the head's"),
        ('address = "10.0.0.1:6379"', "", "address is lacking"),
        ('token_file = "~/token"', "", "token_file is lacking"),
        ("/mnt/ltx2/clips", "/mnt/clips", "outside of what the machines share"),
        ("shared =", "sharde = 1\nshared =", "write shared"),
    ],
)
def test_a_cluster_that_can_not_be_meant_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_settings(RAY.replace(old, new), FILE, TREE, HOME)
    assert words in f"{raised.value}; {raised.value.remedy}".replace('"', "'")


def test_a_command_line_names_no_cards_of_a_cluster() -> None:
    with pytest.raises(UsageError, match="each machine's Ray says"):
        changed(parse_settings(RAY, FILE, TREE, HOME), gpus=(0,))
