"""A real headless browser, where one is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The first of them on the PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def visit(browser: str, page: Path, profile: Path, *arguments: str) -> str:
    """What the browser says on stdout of the page, its clock run on for some seconds."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox refuses root
    done = subprocess.run(
        [
            browser,
            "--headless=new",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=8000",
            f"--user-data-dir={profile}",
            *sandbox,
            *arguments,
            page.as_uri(),
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout.decode("utf-8", "replace")


def said_of_itself(dom: str) -> dict[str, str]:
    """The data-* attributes of the body."""
    body = re.search(r"<body([^>]*)>", dom)
    assert body is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', body[1]))
