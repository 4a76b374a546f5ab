"""Plumbing of one repository: bytes in, values out. Only this and remote.py spell git flags."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.proc import Done, call, environment
from ltx2_patcher.values.errors import BusyError, ConflictError, OutsideError

IDENTITY = "LTX-2 patch toolkit <patches@ltx2-patcher.invalid>"
"""Committer of every commit we make: fixed, so that the same series gives the same commit ids."""

PLAIN = "100644"
"""Mode of a plain file in git's trees."""

ABSENT = "0" * 40
"""Stands for a ref that is not there."""

STATE_FOLDER = "ltx2-patcher"
"""Our folder inside a git directory: lock, journal, and the branch that was left."""

_SEALED = (
    # Hooks (reference-transaction, post-index-change) and file monitors are the user's programs:
    # building commits of ours must not start them.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("safe.directory", "*"),  # the user named this folder; who owns it is theirs to know
)
_BUSY = (
    "rebase-merge",
    "rebase-apply",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tree or index entry."""

    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where HEAD points."""

    commit: str
    ref: str | None  # None when detached

    @property
    def target(self) -> str:
        """The branch, or when detached the commit."""
        return self.ref or self.commit


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to make: its message and author, and the files it changes."""

    message: bytes
    author: str  # "Name <mail>"
    date: str  # RFC 2822
    files: Mapping[str, bytes | None]  # None removes


@dataclass(frozen=True, slots=True)
class PastCommit:
    """A commit that is there."""

    id: str
    parent: str | None
    ours: bool
    subject: str


class Git:
    """One repository with a working tree."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.directory = git_directory(tree)

    @property
    def state(self) -> Path:
        """Our folder in the git directory."""
        return self.directory / STATE_FOLDER

    def refuse_if_busy(self) -> None:
        """Leave a tree alone that the user or git is at work on.

        Raises: BusyError in the middle of a rebase, merge or bisect, or where git holds the index.
        """
        if found := [name for name in _BUSY if (self.directory / name).exists()]:
            raise BusyError(
                f"{self.tree} is in the middle of something ({found[0]})",
                remedy="finish or abort it (`git status` says how), then try again",
            )
        if not _gone(self.directory / "index.lock", wait_s=5):
            raise BusyError(
                f"git is at work in {self.tree} (index.lock)",
                remedy="wait for it to end; if none runs, remove .git/index.lock",
            )

    def head(self) -> Head:
        """Raises: ConflictError where nothing is committed yet, or the files lie elsewhere."""
        done = self._run("rev-parse", "--show-toplevel", "HEAD^{commit}", ok={0, 128})
        if done.code:
            raise ConflictError(
                f"{self.tree} has no commit", remedy="name a clone of upstream with --tree"
            )
        top, commit = done.out.rsplit(b"\n", 2)[:2]
        if not self.tree.samefile(os.fsdecode(top)):
            raise ConflictError(
                f"the files of {self.tree} lie in {os.fsdecode(top)} (core.worktree)",
                remedy="name that folder with --tree, or a clone of its own",
            )
        kind, _, ref = (self.directory / "HEAD").read_text("utf-8").strip().partition(": ")
        return Head(commit.decode(), ref if kind == "ref" else None)

    def resolve(self, ref: str) -> str | None:
        """The commit that `ref` points to, if it exists."""
        done = self._run("rev-parse", "--verify", "-q", f"{ref}^{{commit}}", ok={0, 1, 128})
        return done.out.decode().strip() if done.code == 0 else None

    def is_sparse(self) -> bool:
        """Whether the working tree leaves files out on purpose."""
        return (self.directory / "info/sparse-checkout").exists()

    def checked_out_elsewhere(self, branch: str) -> str | None:
        """Another worktree of this repository that has `branch` checked out."""
        common = self.directory
        if (pointer := self.directory / "commondir").exists():
            common = self.directory / pointer.read_text("utf-8").strip()
        if not (common / "worktrees").is_dir():
            return None  # no linked worktree, no process to ask
        found = self._run("worktree", "list", "--porcelain").out.decode("utf-8", "surrogateescape")
        for entry in found.split("\n\n"):
            lines = entry.splitlines()
            if f"branch {branch}" in lines:
                place = Path(lines[0].removeprefix("worktree "))
                if not (place.exists() and place.samefile(self.tree)):
                    return str(place)
        return None

    def refs_with(self, commit: str) -> list[str]:
        """The branches, tags and remote branches from which `commit` can be reached."""
        asked = ("for-each-ref", "--format=%(refname)", "--contains", commit)
        return self._run(*asked).out.decode("utf-8", "surrogateescape").split()

    def entries(self, commit: str, paths: Iterable[str]) -> dict[str, Entry]:
        """The tree entries of `commit` at `paths`, absent ones left out."""
        found = self._run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths).out
        rows = (row.partition(b"\t") for row in found.split(b"\0") if row)
        return {
            path.decode("utf-8", "surrogateescape"): Entry(mode.decode(), blob.decode())
            for info, _, path in rows
            for mode, _, blob in [info.split()]
        }

    def staged(self, paths: Iterable[str]) -> dict[str, Entry]:
        """The index entries at `paths`, absent ones left out; an unmerged path has mode "0"."""
        found = self._run("ls-files", "-s", "-z", "--", *paths).out
        result: dict[str, Entry] = {}
        for row in found.split(b"\0"):
            if row:
                info, _, path = row.partition(b"\t")
                mode, blob, stage = info.decode().split()
                name = path.decode("utf-8", "surrogateescape")
                result[name] = Entry(mode if stage == "0" else "0", blob)
        return result

    def blobs(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of files in a commit. Raises: ConflictError where one is missing."""
        wanted = list(paths)
        asked = "".join(f"{commit}:{path}\n" for path in wanted).encode()
        out = self._run("cat-file", "--batch", stdin=asked).out
        found: dict[str, bytes] = {}
        at = 0
        for path in wanted:
            end = out.index(b"\n", at)
            kind, *size = out[at:end].rsplit(b" ", 2)[1:]
            if kind != b"blob":
                raise ConflictError(
                    f"{self.tree} lacks the content of {path} at {commit[:12]}",
                    remedy="fetch it (a partial clone may have left it out) or clone afresh",
                )
            start, length = end + 1, int(size[0])
            found[path] = out[start : start + length]
            at = start + length + 1
        return found

    def changed(self, old: str, new: str) -> list[str]:
        """The paths at which two commits differ."""
        out = self._run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new).out
        return [path.decode("utf-8", "surrogateescape") for path in out.split(b"\0") if path]

    def history(self, tip: str, limit: int = 500) -> list[PastCommit]:
        """First-parent history from `tip` back, newest first."""
        found = self._run(
            "log", "-z", "--first-parent", f"-{limit}", "--format=%H%n%P%n%cn <%ce>%n%s", tip
        ).out
        commits = []
        for row in found.decode("utf-8", "replace").split("\0")[:-1]:
            identity, parents, committer, subject = row.split("\n", 3)
            ours = committer == IDENTITY
            parent = parents.split()[0] if parents else None
            commits.append(PastCommit(identity, parent, ours, subject))
        return commits

    def commits_between(self, start: str, tip: str) -> list[str]:
        """The first-parent commits after `start`, oldest first."""
        out = self._run("rev-list", "--reverse", "--first-parent", f"{start}..{tip}").out
        return out.decode().split()

    def words(self, commit: str) -> tuple[bytes, str, str]:
        """Message, author ("Name <mail>") and author date (RFC 2822) of a commit."""
        out = self._run("log", "-1", "--format=%an <%ae>%n%aD%n%B", commit).out
        author, date, message = out.split(b"\n", 2)
        return message.strip(b"\n") + b"\n", author.decode(), date.decode()

    def dirty(self) -> list[str]:
        """The tracked files that differ from HEAD, in the index or the working tree."""
        # The porcelain compares contents where only times differ, as after a copy.
        out = self._run("diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", "HEAD").out
        return [path.decode("utf-8", "surrogateescape") for path in out.split(b"\0") if path]

    def build(self, parent: str | None, commits: Sequence[NewCommit]) -> list[str]:
        """Make `commits` on `parent`, touching no branch, index or file; their ids in order.

        One `git fast-import`: no process a patch, and no hook, filter or signature of the user's.
        """
        scratch = f"refs/{STATE_FOLDER}/building"
        stream = bytearray()
        for mark, commit in enumerate(commits, start=1):
            stream += b"commit %s\nmark :%d\n" % (scratch.encode(), mark)
            stream += f"author {commit.author} {commit.date}\n".encode()
            stream += f"committer {IDENTITY} {commit.date}\n".encode()
            stream += b"data %d\n%s\n" % (len(commit.message), commit.message)
            if mark == 1 and parent is not None:
                stream += b"from %s\n" % parent.encode()
            for path, content in commit.files.items():
                if content is None:
                    stream += b"D %s\n" % path.encode()
                else:
                    stream += b"M 100644 inline %s\ndata %d\n" % (path.encode(), len(content))
                    stream += content + b"\n"
            stream += b"\n"
        for mark in range(1, len(commits) + 1):
            stream += b"get-mark :%d\n" % mark
        stream += b"reset %s\nfrom %s\n\ndone\n" % (scratch.encode(), b"0" * 40)
        flags = ("--quiet", "--done", "--force", "--date-format=rfc2822", "--cat-blob-fd=1")
        done = self._run("fast-import", *flags, stdin=bytes(stream))
        return done.out.decode().split()

    def move_ref(self, ref: str, new: str, *, expect: str) -> None:
        """Compare and swap, where 40 zeros stand for "absent"; done already counts as done.

        Raises: ConflictError where `ref` is at neither.
        """
        done = self._run("update-ref", ref, new, expect, ok={0, 128})
        if done.code == 0 or (now := self.resolve(ref) or ABSENT) == new:
            return
        if now != expect:
            raise ConflictError(f"{ref} moved meanwhile", remedy="run the command again")
        raise ConflictError(
            f"the branch {ref.removeprefix('refs/heads/')} can't be made: {done.last_words}",
            remedy="choose another name with --onto-branch NAME",
        )

    def point_head(self, to: str) -> None:
        """Point HEAD at a branch ("refs/...") or, detached, at a commit; no file is touched."""
        if to.startswith("refs/"):
            self._run("symbolic-ref", "-m", "ltx2-patcher", "HEAD", to)
        else:
            self._run("update-ref", "--no-deref", "-m", "ltx2-patcher", "HEAD", to)

    def stage(self, blobs: Mapping[str, str | None]) -> None:
        """Set the index entries at these paths, leaving every other entry as it is."""
        rows = b"".join(
            b"0 %s\t%s\0" % (b"0" * 40, path.encode())
            if blob is None
            else b"100644 %s\t%s\0" % (blob.encode(), path.encode())
            for path, blob in blobs.items()
        )
        self._run("update-index", "-z", "--index-info", stdin=rows)
        # Takes the new files' times into the index; 1 says that some other file has edits.
        self._run("update-index", "-q", "--refresh", ok={0, 1})

    def format_patches(self, since: str, tip: str) -> bytes:
        """The commits as canonical mails, one after the other.

        Every option that git's version or the user's configuration could change is pinned: full
        blob ids (3-way needs them), three lines of context, no signature, stat or rename guess,
        and the message exactly as committed.
        """
        return self._run(
            *("-c", "diff.algorithm=myers", "-c", "diff.indentHeuristic=true"),
            *("-c", "diff.suppressBlankEmpty=false", "-c", "diff.orderFile=/dev/null"),
            *("-c", "core.quotePath=true", "-c", "core.attributesFile=/dev/null"),
            *("-c", "format.useAutoBase=false", "-c", "format.from=false"),
            *("-c", "i18n.logOutputEncoding=UTF-8"),
            *("format-patch", "--stdout", "--no-stat", "--no-signature", "--zero-commit"),
            *("--full-index", "--no-renames", "--keep-subject", "--no-ext-diff", "--no-textconv"),
            *("--no-color", "-U3", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/"),
            *("--no-cover-letter", "--no-attach", "--no-signoff"),
            *("--no-add-header", "--no-to", "--no-cc", "--no-thread", "--no-notes", "--no-base"),
            *("--no-from", "--encode-email-headers", f"{since}..{tip}"),
        ).out

    def configure(self, key: str, value: str) -> None:
        """Set one of the repository's own settings."""
        self._run("config", key, value)

    def check_out(self, commit: str) -> None:
        """Fill the working tree of a new repository; HEAD is left detached at `commit`."""
        # Attributes of upstream name a large-file filter for its demo media: no patch needs those.
        self._run("-c", "advice.detachedHead=false", "checkout", "-q", "--detach", commit)

    def _run(self, *arguments: str, stdin: bytes = b"", ok: Iterable[int] = (0,)) -> Done:
        done = call(
            ("git", *(f for key, value in _SEALED for f in ("-c", f"{key}={value}")), *arguments),
            stdin=stdin,
            cwd=self.tree,
            env=sealed_environment(),
            own_session=True,  # a git that is killed with us would leave its lock files
        )
        if done.code not in ok:
            raise _failed(self.tree, arguments, done)
        return done


def _gone(path: Path, *, wait_s: float) -> bool:
    """Whether nothing stands at `path`, or what does goes away in time."""
    deadline = time.monotonic() + wait_s
    while path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def git_directory(tree: Path) -> Path:
    """The git directory of a working tree, found without starting git.

    Raises: ConflictError where `tree` is no working tree.
    """
    dot = tree / ".git"
    with disk.translated(dot):
        if dot.is_dir():
            return dot
        kind, target = "", ""
        if dot.is_file():
            kind, _, target = dot.read_bytes().decode("utf-8", "replace").strip().partition(": ")
    if kind != "gitdir":
        raise ConflictError(
            f"{tree} is not the top of a git working tree",
            remedy="name the top folder of a clone of upstream with --tree",
        )
    return (tree / target).resolve()


def sealed_environment() -> dict[str, str]:
    """No configuration, identity, editor or repository of the user's reaches our plumbing."""
    return environment(
        without=("GIT_",),
        GIT_CONFIG_GLOBAL="/dev/null",
        GIT_CONFIG_SYSTEM="/dev/null",
        GIT_LITERAL_PATHSPECS="1",
        GIT_NO_LAZY_FETCH="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_AUTHOR_NAME="LTX-2 patch toolkit",
        GIT_AUTHOR_EMAIL="patches@ltx2-patcher.invalid",
        GIT_COMMITTER_NAME="LTX-2 patch toolkit",
        GIT_COMMITTER_EMAIL="patches@ltx2-patcher.invalid",
        LC_ALL="C",
    )


def _failed(tree: Path, arguments: Sequence[str], done: Done) -> OutsideError | ConflictError:
    words = done.last_words
    if (mark := b"dumping crash report to ") in done.err:
        # Nobody can use it, and it would stay in the user's repository.
        report = done.err.split(mark, 1)[1].splitlines()[0].decode("utf-8", "surrogateescape")
        (tree / report).unlink(missing_ok=True)
    if b"No space left" in done.err or b"Out of diskspace" in done.err:
        return OutsideError(
            f"no space left in {tree}", remedy="free some space and run the command again"
        )
    if "ermission denied" in words or "Read-only" in words:
        return OutsideError(
            f"no permission in {tree}: {words}", remedy="make the repository writable for you"
        )
    return ConflictError(
        f"git {arguments[0]} failed in {tree}: {words}",
        remedy="check the repository with `git fsck` and `git status`",
    )
