"""Making a file set: built beside its place, proved, filled, and renamed when complete."""

import shutil
from collections.abc import Collection

from ltx2_patcher.values.errors import InvalidError, OutsideError
from verify.synthetic.architecture import Blocks, GemmaSize, Size, Variant
from verify.synthetic.completeness import faults, place_all, tensor_names
from verify.synthetic.files import FileSet, Part
from verify.synthetic.gemma_root import GemmaStorage
from verify.synthetic.plan import plan_file_set
from verify.synthetic.progress import Progress, silent
from verify.synthetic.staging import require_space, require_vacant, staged
from verify.upstream import unpatched


def build_file_set(
    files: FileSet,
    variant: Variant,
    size: Size,
    gemma: GemmaSize,
    storage: GemmaStorage,
    *,
    seed: int,
    blocks: Blocks = Blocks.BF16,
    only: Collection[Part] = tuple(Part),
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """A file set, or `only` these parts of one, lies at `files`, whose root was vacant.

    Same arguments, same bytes; a part has those that it has in the whole set. The whole set is laid
    out without its weights, which takes no room, and proved, before the first weight is drawn.
    Raises: UsageError (the root holds something), OutsideError (space, permissions, the GPU),
    InvalidError (a tensor is not as published, or upstream's builders miss one, or have no place
    for one).
    """
    require_vacant(files.root)
    plan = plan_file_set(files.layout, variant, size, gemma, storage, blocks)
    require_space(files.root, plan.nbytes(only))
    with staged(files.root) as staging:
        built = FileSet(staging, files.layout)
        plan.texts.write(staging)
        for file in plan.files:
            file.lay_out(staging)
        _prove(built)
        for file in plan.files:
            if file.part not in only:
                (staging / file.path).unlink()
        if Part.GEMMA not in only:
            shutil.rmtree(built.gemma_root, ignore_errors=True)  # a split set has none
        for file in plan.files:
            if file.part in only:
                file.fill(staging, seed=seed, device=device, progress=progress)


def _prove(files: FileSet) -> None:
    try:
        with unpatched.gemma_of(files.text_encoder):
            components = place_all(files)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        # safetensors maps a file privately, for which Linux wants memory and swap as large.
        raise OutsideError(
            f"upstream cannot open what it is to load: {error}",
            remedy="take a machine with more memory or swap, or set vm.overcommit_memory to 1",
        ) from error
    if wrong := faults(components, tensor_names(files.root.rglob("*.safetensors"))):
        raise InvalidError(
            f"upstream's builders and the file set differ: {'; '.join(wrong[:5])}",
            remedy="check that the ltx_core on the path is a supported base",
        )
