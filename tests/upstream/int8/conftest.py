"""Products of int8, on the bases that have them."""

from tests.upstream.pipelines.conftest import image  # noqa: F401
