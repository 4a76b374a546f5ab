"""git as we run it: nothing of the user's reaches it, and what it complains of is put in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ltx2_patcher.boundaries.proc import Done, call, inherited_variables
from ltx2_patcher.boundaries.refusals import refusal_in
from ltx2_patcher.values.errors import BusyError, ConflictError, OutsideError, PatcherError

_SEALED = (
    # Hooks (reference-transaction, post-index-change) and file monitors are the user's programs:
    # building commits of ours must not start them.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    # What `git log` says is read; a repository may have its own ideas of that too.
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.showSignature", "false"),
    ("safe.directory", "*"),  # the user named this folder; who owns it is theirs to know
)

_UNWRITTEN = (b"unable to write file", b"couldn't write", b"failed to write new configuration file")
"""Of complaints that do not say why."""

ANEW = (
    "to have it anew move it away, then `make patch`, or clone upstream again where it is a clone "
    "of your own"
)
"""What helps a repository that is damaged."""


def run(
    place: Path,
    *arguments: str,
    stdin: bytes = b"",
    ok: Iterable[int] = (0,),
    variables: Mapping[str, str] | None = None,
) -> Done:
    """Run git on the repository at `place`; a code that is not among `ok` is an error in words.

    Raises: as `failed` says.
    """
    done = call(
        ("git", *(f for key, value in _SEALED for f in ("-c", f"{key}={value}")), *arguments),
        stdin=stdin,
        cwd=place,
        env=sealed_environment() | alone(place) | dict(variables or {}),
        own_session=True,  # a git that is killed with us would leave its lock files
    )
    if done.code not in ok:
        raise failed(place, arguments[0], done)
    return done


def alone(place: Path) -> dict[str, str]:
    """Keeps git from taking the repository around `place` where that is a damaged one itself."""
    return {"GIT_CEILING_DIRECTORIES": str(place.resolve().parent)}


def sealed_environment() -> dict[str, str]:
    """No configuration, identity, editor or repository of the user's reaches our plumbing."""
    return inherited_variables(
        without=("GIT_",),
        GIT_CONFIG_GLOBAL="/dev/null",
        GIT_CONFIG_SYSTEM="/dev/null",
        GIT_LITERAL_PATHSPECS="1",
        GIT_NO_LAZY_FETCH="1",
        # `git replace` and grafts change what commits look like here, not what they are.
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_GRAFT_FILE="/dev/null",
        GIT_TERMINAL_PROMPT="0",
        GIT_AUTHOR_NAME="LTX-2 patch toolkit",
        GIT_AUTHOR_EMAIL="patches@ltx2-patcher.invalid",
        GIT_COMMITTER_NAME="LTX-2 patch toolkit",
        GIT_COMMITTER_EMAIL="patches@ltx2-patcher.invalid",
        LC_ALL="C",
    )


def damaged(place: Path, how: str) -> ConflictError:
    """What to say of a repository that git can't read."""
    return ConflictError(
        f"{place} can't be read as a git repository: {how}",
        remedy=f"look with `git -C {place} fsck`; {ANEW}",
    )


def failed(place: Path, verb: str, done: Done) -> PatcherError:
    """What to say of a git that ended with an error."""
    complaint = done.complaint
    if (mark := b"dumping crash report to ") in done.err:
        # Nobody can use it, and it would stay in the user's repository.
        report = done.err.split(mark, 1)[1].splitlines()[0].decode("utf-8", "surrogateescape")
        (place / report).unlink(missing_ok=True)
    if known := refusal_in(done.err, place):
        return known
    if any(words in done.err for words in _UNWRITTEN):
        return OutsideError(
            f"git can't write files in {place}: there may be no space left",
            remedy="free some space there and run the command again",
        )
    if b".lock': File exists" in done.err:
        return BusyError(
            f"another git is at work in {place}: {complaint}",
            remedy="wait for it to end; if none runs, remove that .lock file",
        )
    if b"promisor remote" in done.err:
        return ConflictError(
            f"{place} is a partial clone and lacks what is needed: {complaint}",
            remedy=f"complete it with `git -C {place} fetch --refetch --no-filter`, "
            "or clone afresh",
        )
    if b"external filter" in done.err:
        return ConflictError(
            f"git {verb} failed in {place}: {complaint}",
            remedy="correct that filter (`git config --get-regexp ^filter` shows it), then run the "
            "command again",
        )
    return damaged(place, f"git {verb}: {complaint}")
