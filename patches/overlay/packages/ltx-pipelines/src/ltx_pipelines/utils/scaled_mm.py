"""Which cards multiply in fp8: those of compute capability 8.9 and newer."""

import torch

_FIRST = (8, 9)


def scaled_mm_refusal(policy: str) -> str | None:
    """Why the card that the script takes can't compute with a `--quantization` policy, in one sentence.
    None where it can, and where there is no card. Without it, the first matrix product fails, with all models loaded.
    """
    if policy != "fp8-scaled-mm" or not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) >= _FIRST:
        return None
    return (
        f"{policy} needs compute capability 8.9 or newer, and {torch.cuda.get_device_name()} has {major}.{minor}; "
        "give fp8-cast, which computes in bf16"
    )
