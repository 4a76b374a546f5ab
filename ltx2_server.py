"""`python ltx2_server.py --port 6020`: the video service in the foreground (docs/service.md)."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOL = ROOT / ".venv/bin/ltx2-patcher"

if __name__ == "__main__":
    if not TOOL.exists():
        sys.exit("ltx2_server: the tool is not installed\n  to do: run `make patch` first")
    os.execv(TOOL, [str(TOOL), "serve", *sys.argv[1:]])  # noqa: S606 - its purpose
