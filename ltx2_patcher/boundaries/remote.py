"""Brings upstream from a git server into a repository of our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ltx2_patcher.boundaries.git import Git
from ltx2_patcher.boundaries.proc import TimedOut, call, complaint_in, inherited_variables
from ltx2_patcher.boundaries.refusals import refusal_in
from ltx2_patcher.boundaries.sealed_git import alone, failed, sealed_environment
from ltx2_patcher.values.errors import InvalidError, OutsideError


def new_repository(tree: Path) -> Git:
    """An empty repository of our own at `tree`, its settings independent of the user's."""
    env = sealed_environment()
    done = call(("git", "init", "-q", "--template=", "-b", "upstream", str(tree)), env=env)
    if done.code:
        raise failed(tree.parent, "init", done)
    git = Git(tree)
    for key in ("core.autocrlf", "core.eol", "commit.gpgSign"):
        git.configure(key, {"core.eol": "lf"}.get(key, "false"))
    return git


def reachable(url: str, *, timeout_s: float) -> None:
    """Returns where a git server answers at `url` in time.

    Raises: OutsideError otherwise.
    """
    try:
        done = call(
            ("git", "ls-remote", "-q", "--heads", url, "main"),
            env=_network_environment(),
            timeout_s=timeout_s,
            own_session=True,  # on a time-out its transport helper goes with it
        )
    except TimedOut as error:
        raise OutsideError(
            f"{url} can't be reached: no answer within {timeout_s:.0f} s", remedy=_UNREACHED
        ) from error
    if done.code:
        raise OutsideError(f"{url} can't be reached: {done.complaint}", remedy=_UNREACHED)


_UNREACHED = (
    "check the network, or take the published wheels with SOURCE=pypi; a base that lies in vendor/ "
    "works without"
)

_HISTORY = tuple(
    f"+refs/{refs}:refs/{refs}" for refs in ("heads/main", "heads/release/*", "tags/*")
)


def fetch_history(directory: Path, url: str) -> None:
    """Bring upstream's main branch with its whole history, its release branches and its tags into
    the bare repository `directory`.

    It is made where it is missing. The refs there are moved wherever upstream's are.

    Raises: OutsideError where the server fails.
    """
    known = (directory / "HEAD").exists()
    flags = ("--no-tags", "--no-write-fetch-head", "--no-auto-gc")
    for step in (
        ("init", "-q", "--bare", "--template=", "-b", "main", str(directory)),
        ("-C", str(directory), "fetch", "-q", *flags, url, *_HISTORY),
    ):
        env = _network_environment() | alone(directory)
        done = call(("git", *step), env=env, own_session=True)
        if done.code:
            damaged = f"; remove {directory} where it is damaged" if known else ""
            raise refusal_in(done.err, directory) or OutsideError(
                f"upstream's history can't be fetched from {url}: {done.complaint}",
                remedy=f"check the network and run again{damaged}; what lies in vendor/ works "
                "without",
            )


def fetch(git: Git, url: str, commit: str, progress: Callable[[str, float], None]) -> None:
    """Bring one commit with all its blobs (3-way needs them) and no history.

    `progress` gets a phase's name and its share done, 0 to 1.

    Raises: OutsideError where the server fails, InvalidError where it has no such commit.
    """
    # GitPython reads git's progress lines; its import is slow and only a clone needs it.
    from git import Repo
    from git.exc import GitCommandError
    from git.remote import RemoteProgress

    class Relay(RemoteProgress):
        def update(
            self,
            op_code: int,
            cur_count: str | float,
            max_count: str | float | None = None,
            message: str = "",  # noqa: ARG002 - GitPython's signature
        ) -> None:
            phase = _PHASES.get(op_code & RemoteProgress.OP_MASK, "receiving")
            progress(phase, float(cur_count) / float(max_count or cur_count or 1))

    git.configure("remote.origin.url", url)
    git.configure("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    with Repo(git.tree) as repo:
        repo.git.update_environment(**_GIVE_UP)
        remote, relay = repo.remote("origin"), Relay()
        try:
            remote.fetch(commit, progress=relay, depth=1, no_tags=True)
        except GitCommandError as error:
            last = str(error.stderr).strip().removeprefix("stderr: '").removesuffix("'")
            said = "\n".join((*relay.other_lines, *relay.error_lines, last))
            if "not our ref" in said:
                raise InvalidError(
                    f"{url} has no commit {commit}",
                    remedy="correct the pin in vendor/upstream.toml, or take SOURCE=pypi",
                ) from error
            if known := refusal_in(said, git.tree):
                raise known from error
            if "invalid index-pack output" in said:  # git says not why
                raise OutsideError(
                    f"git can't write what it fetches to {git.tree}: there may be no space left",
                    remedy="free some space there, raise a limit of file sizes (`ulimit -f`), and "
                    "run the command again",
                ) from error
            raise OutsideError(
                f"fetching {url} failed: {complaint_in(said) or error}",
                remedy="check the network and run again, or take the wheels with SOURCE=pypi",
            ) from error


_GIVE_UP = {"GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "20"}
"""A server that stalls half-way ends the fetch, not the user's patience."""

_PHASES = {4: "counting", 8: "compressing", 16: "sending", 32: "receiving", 64: "resolving"}


def _network_environment() -> dict[str, str]:
    """The user's proxies, mirrors and credentials count; a repository around us does not."""
    drop = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
    return inherited_variables(without=drop, GIT_TERMINAL_PROMPT="0", LC_ALL="C", **_GIVE_UP)
