"""The runs to make: script x mode x Gemma x variant, in pairs or all of them."""

import os
from dataclasses import replace
from itertools import product
from pathlib import Path

from tests.upstream.cases import SCRIPTS, Case, Mode
from verify.synthetic.abilities import variants
from verify.synthetic.architecture import GemmaFamily
from verify.upstream.command_line import Gemma
from verify.upstream.tree import core_of

_VARIANTS = variants(core_of(Path(os.environ["LTX2_UPSTREAM_TREE"])))
VARIANTS = tuple(variant.value for variant in _VARIANTS)
WITH_GEMMA_3 = [v.value for v in _VARIANTS if v.gemma is GemmaFamily.GEMMA_3][-1]
MODES, GEMMAS = tuple(Mode), tuple(Gemma)
# Each pair of values of two columns stands together in some row; a test says so. The modes go by
# twos over the Gemmas, so that they part from two variants, which alternate.
PAIRWISE = tuple(
    Case(script, MODES[(i + j // 2) % len(MODES)], gemma, VARIANTS[(i + j) % len(VARIANTS)])
    for i, script in enumerate(SCRIPTS)
    for j, gemma in enumerate(GEMMAS)
)
ALL = tuple(Case(*row) for row in product(SCRIPTS, MODES, GEMMAS, VARIANTS))


def plain(case: Case) -> Case:
    """The same run with a Gemma that is not quantized."""
    return replace(case, gemma=Gemma.PLAIN)
