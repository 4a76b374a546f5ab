"""export, as people type it."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Run


def test_the_mailbox_goes_to_stdout_and_spares_what_is_no_file(
    patcher: Run, tmp_path: Path
) -> None:
    done = patcher("export", "--mbox", "-")
    assert done.stdout.startswith("From 0000") and done.returncode == 0
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    done = patcher("export", "--mbox", link)
    assert (done.returncode, "not a plain file" in done.stderr) == (3, True)
    assert link.is_symlink()
