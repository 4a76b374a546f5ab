"""Host memory while a Gemma is loaded: quantized as it streams, and quantized when it is there."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from safetensors import safe_open

from verify.memory import Peak, measure, peak_between
from verify.pipelines import OURS, PACKAGES
from verify.synthetic.files import FileSet

MIB = 1 << 20
SLACK_BYTES = 100 * MIB

# About 530 MiB in float32, where loading must convert and can't live on mapped pages alone. The
# Linears, not the embedding, are most of it: else the bound would let everything pass.
MAKE = """
import sys
from pathlib import Path
import torch
from verify.synthetic.architecture import TINY_GEMMA, GemmaSize
from verify.synthetic.build import GemmaStorage, write_gemma_root
text = TINY_GEMMA.replacements["text_config"] | {
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 8,
    "num_hidden_layers": 8,
    "num_key_value_heads": 4,
    "vocab_size": 8192,
}
size = GemmaSize(TINY_GEMMA.replacements | {"text_config": text})
write_gemma_root(Path(sys.argv[1]), size, GemmaStorage(torch.float32, shards=4), seed=0)
"""

LOAD = """
import sys
import bitsandbytes
import torch
from ltx_pipelines.utils.model_ledger import ModelLedger
from verify.memory import mark

way, root, checkpoint = sys.argv[1:]
flags = {way: True} if way.startswith("gemma_") else {}
ledger = ModelLedger(
    torch.bfloat16, torch.device("cpu"), checkpoint_path=checkpoint, gemma_root_path=root, **flags
)
mark("start")
model = ledger.text_encoder()
if not flags:
    language_model = model.model.model.language_model
    for name, linear in list(language_model.named_modules()):
        if isinstance(linear, torch.nn.Linear):
            with torch.device("meta"):
                quantized = bitsandbytes.nn.Linear4bit(
                    linear.in_features, linear.out_features, bias=False, quant_type="nf4"
                )
            quantized.weight = bitsandbytes.nn.Params4bit(
                linear.weight.data, requires_grad=False, quant_type="nf4"
            ).to("cpu")
            language_model.set_submodule(name, quantized)
mark("end")
tensors = {t.data_ptr(): t.nbytes for t in [*model.parameters(), *model.buffers()]}
print("loaded", sum(tensors.values()))
"""


@pytest.fixture(scope="module")
def big_root(upstream_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma large enough to be seen beside the interpreter."""
    root = tmp_path_factory.mktemp("big") / "gemma"
    subprocess.run([sys.executable, "-c", MAKE, root], env=environment(upstream_tree), check=True)
    return root


@pytest.fixture(scope="module")
def load(
    big_root: Path, patched_tree: Path, fileset: Callable[[str], FileSet]
) -> Callable[[str], tuple[Peak, int]]:
    """The peak of one way to load, and the bytes of the loaded model."""

    @cache
    def measured(way: str) -> tuple[Peak, int]:
        argv = [sys.executable, "-c", LOAD, way, str(big_root), str(fileset("2.0").checkpoint)]
        done = measure(argv, env=environment(patched_tree))
        assert done.code == 0, done.err
        return peak_between(done, "start", "end"), int(done.out.split()[-1])

    return measured


def environment(tree: Path) -> dict[str, str]:
    """Ours and `tree`'s packages."""
    path = [*(tree / "packages" / name / "src" for name in PACKAGES), OURS]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}


def largest_bytes(root: Path) -> int:
    """The largest tensor of a root, as it is stored in float32."""
    largest = 0
    for shard in root.glob("*.safetensors"):
        with safe_open(shard, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - not a mapping
                largest = max(largest, opened.get_tensor(name).nbytes)
    return largest


@pytest.mark.parametrize("flag", ["gemma_4bit", "gemma_8bit"])
def test_streaming_stays_within_its_bound(
    flag: str, load: Callable[[str], tuple[Peak, int]], big_root: Path
) -> None:
    """The loaded model, two tensors and a little; loading first and quantizing then does not."""
    streamed, loaded_bytes = load(flag)
    bound = loaded_bytes + 2 * largest_bytes(big_root) + SLACK_BYTES
    assert streamed.samples > 10
    assert streamed.anon_rise_bytes <= bound
    afterwards, _ = load("load-then-quantize")
    assert afterwards.anon_rise_bytes > streamed.anon_rise_bytes
    if flag == "gemma_4bit":
        assert afterwards.anon_rise_bytes > bound
