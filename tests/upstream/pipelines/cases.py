"""The runs to make: script x mode x Gemma x variant, in pairs or all of them."""

from dataclasses import replace
from itertools import product

from verify.cases import SCRIPTS, VARIANTS, Case, Gemma, Mode

_D, _T, _K = SCRIPTS
# Each pair of values of two columns stands together in some row; a test says so.
PAIRWISE = tuple(
    Case(*row)
    for row in (
        (_D, Mode.T2V, Gemma.PLAIN, "2.0"),
        (_D, Mode.I2V, Gemma.FLAG_4BIT, "2.0"),
        (_D, Mode.T2V, Gemma.FLAG_8BIT, "2.3"),
        (_D, Mode.I2V, Gemma.PREQUANTIZED_4BIT, "2.3"),
        (_D, Mode.T2V, Gemma.PREQUANTIZED_8BIT, "2.0"),
        (_T, Mode.I2V, Gemma.PLAIN, "2.3"),
        (_T, Mode.T2V, Gemma.FLAG_4BIT, "2.3"),
        (_T, Mode.I2V, Gemma.FLAG_8BIT, "2.0"),
        (_T, Mode.T2V, Gemma.PREQUANTIZED_4BIT, "2.0"),
        (_T, Mode.I2V, Gemma.PREQUANTIZED_8BIT, "2.3"),
        (_K, Mode.T2V, Gemma.PLAIN, "2.0"),
        (_K, Mode.I2V, Gemma.FLAG_4BIT, "2.0"),
        (_K, Mode.T2V, Gemma.FLAG_8BIT, "2.3"),
        (_K, Mode.I2V, Gemma.PREQUANTIZED_4BIT, "2.3"),
        (_K, Mode.T2V, Gemma.PREQUANTIZED_8BIT, "2.0"),
    )
)
ALL = tuple(Case(*row) for row in product(SCRIPTS, Mode, Gemma, VARIANTS))


def plain(case: Case) -> Case:
    """The same run with a Gemma that is not quantized."""
    return replace(case, gemma=Gemma.PLAIN)
