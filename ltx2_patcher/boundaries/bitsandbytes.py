"""Does bitsandbytes really work here: asked of the environment's own Python, in a child process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ltx2_patcher.boundaries.environment import Environment
from ltx2_patcher.boundaries.proc import call, inherited_variables
from ltx2_patcher.values.errors import OutsideError

_TIMEOUT_S = 180.0  # a cold import of torch from a slow disk takes a minute
_WIDTH = 256  # multiples of 64: below that a CPU kernel of bitsandbytes crashes

_SCRIPT = f"""
import json
results = {{}}
try:
    import torch
    results["cuda"] = torch.cuda.is_available()
    device = torch.device("cuda" if results["cuda"] else "cpu")
    results["device"] = torch.cuda.get_device_name(0) if results["cuda"] else "cpu"
    import bitsandbytes
    torch.manual_seed(0)
    plain = torch.nn.Linear({_WIDTH}, {_WIDTH}, bias=False, dtype=torch.bfloat16)
    given = torch.randn(8, {_WIDTH}, dtype=torch.bfloat16, device=device)
    with torch.inference_mode():
        wanted = (given @ plain.weight.to(device).T).float()
        for name, make in (
            ("4bit", lambda: bitsandbytes.nn.Linear4bit(
                {_WIDTH}, {_WIDTH}, bias=False, compute_dtype=torch.bfloat16,
                compress_statistics=True, quant_type="nf4")),
            ("8bit", lambda: bitsandbytes.nn.Linear8bitLt(
                {_WIDTH}, {_WIDTH}, bias=False, has_fp16_weights=False, threshold=6.0)),
        ):
            try:
                layer = make()
                layer.load_state_dict(plain.state_dict())
                got = layer.to(device)(given).float()
                results[name] = float((got - wanted).norm() / wanted.norm())
            except Exception as error:  # whatever its kernels throw is the answer
                results[name] = f"{{type(error).__name__}}: {{error}}"
except Exception as error:  # a broken import throws more than ImportError
    results["error"] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(results))
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What happened when torch and bitsandbytes multiplied."""

    device: str  # the card's name, or "cpu"
    cuda: bool
    errors: Mapping[str, float]  # "4bit", "8bit" -> relative error against bf16
    failures: Mapping[str, str]  # "4bit", "8bit" or "torch" -> what went wrong


def probe(target: Environment, variables: Mapping[str, str]) -> Probed:
    """Multiply with 4-bit and 8-bit weights on the device that torch finds.

    Raises: OutsideError where the child dies or does not answer.
    """
    done = call(
        (str(target.python), "-c", _SCRIPT),
        env=inherited_variables(**variables),
        timeout_s=_TIMEOUT_S,
    )
    try:
        results = json.loads(done.out.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise OutsideError(
            f"torch and bitsandbytes do not start: {done.complaint}",
            remedy="make the environment anew: remove its folder and run `make install`",
        ) from error
    measured = {name: results[name] for name in ("4bit", "8bit") if name in results}
    failures = {name: value for name, value in measured.items() if isinstance(value, str)}
    if "error" in results:
        failures["torch"] = results["error"]
    errors = {name: value for name, value in measured.items() if isinstance(value, float)}
    return Probed(results.get("device", "cpu"), results.get("cuda", False), errors, failures)
