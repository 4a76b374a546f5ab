"""Products of int8, on the bases that have them."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("ltx_core.int8") else ["test_*.py"]

from tests.upstream.pipelines.conftest import image  # noqa: E402, F401
