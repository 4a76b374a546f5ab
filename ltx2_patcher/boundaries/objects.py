"""The objects and refs of one repository, with or without a working tree: bytes in, values out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

from ltx2_patcher.boundaries.proc import Done
from ltx2_patcher.boundaries.sealed_git import ANEW, damaged, failed, run
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError

IDENTITY = "LTX-2 patch toolkit <patches@ltx2-patcher.invalid>"
"""Committer of every commit we make: fixed, so that the same series gives the same commit ids."""

PLAIN = "100644"
"""Mode of a plain file in git's trees."""

ABSENT = "0" * 40
"""Stands for a ref that is not there."""

STATE_FOLDER = "ltx2-patcher"
"""Our folder inside a git directory: lock, journal, and the branch that was left."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tree or index entry."""

    mode: str
    blob: str


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
    parent: str | None  # where a shallow clone ends it is not here
    ours: bool
    subject: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of upstream."""

    commit: str
    date: str  # yyyy-mm-dd, the committer's
    subject: str


class Objects:
    """One repository, asked where its objects and refs are concerned."""

    def __init__(self, place: Path) -> None:
        self.place = place  # the working tree, or a bare repository

    def resolve(self, ref: str) -> str | None:
        """The commit that `ref` points to, if it exists."""
        done = self._run("rev-parse", "--verify", "-q", f"{ref}^{{commit}}", ok={0, 1, 128})
        return done.out.decode().strip() if done.code == 0 else None

    def refs_with(self, commit: str) -> list[str]:
        """The branches, tags and remote branches from which `commit` can be reached."""
        asked = ("for-each-ref", "--format=%(refname)", "--contains", commit)
        return self._run(*asked).out.decode("utf-8", "surrogateescape").split()

    def refs_below(self, prefix: str) -> dict[str, str]:
        """The refs whose names start with `prefix`, a folder, and the commits they point to."""
        rows = self._run("for-each-ref", "--format=%(objectname) %(refname)", prefix).out.decode()
        return {ref: commit for commit, ref in (row.split(" ", 1) for row in rows.splitlines())}

    def entries(self, commit: str, paths: Iterable[str]) -> dict[str, Entry]:
        """The tree entries of `commit` at or below `paths`, absent ones left out."""
        wanted = list(paths)
        if not wanted:  # which git would take for all there are
            return {}
        listed = self._run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *wanted).out
        rows = (row.partition(b"\t") for row in listed.split(b"\0") if row)
        return {
            path.decode("utf-8", "surrogateescape"): Entry(mode.decode(), blob.decode())
            for info, _, path in rows
            for mode, _, blob in [info.split()]
        }

    def revisions(
        self, wanted: Sequence[str], *, first_parent: bool = True, walk: bool = True
    ) -> list[Revision]:
        """What `git log` gives for refs and ranges, newest first; without `walk` the refs alone.

        Raises: UsageError for one that names no commit.
        """
        for name in wanted:
            if name.startswith("-"):
                raise UsageError(f"{name!r} is no revision", remedy="name a ref or a range")
        flags = (*(("--first-parent",) * first_parent), *(("--no-walk",) * (not walk)))
        form = ("-z", "--format=%H%n%cs%n%s")
        done = self._run("log", *form, *flags, *wanted, "--", ok=(0, 128))
        if done.code:
            raise UsageError(
                f"{' '.join(wanted)} names no revision of upstream: {done.complaint}",
                remedy="name a commit, a branch or a range such as 1.0.0's commit..main",
            )
        rows = done.out.decode("utf-8", "replace").split("\0")
        return [Revision(*row.split("\n", 2)) for row in rows if row]

    def blob_ids(self, commits: Iterable[str], paths: Sequence[str]) -> dict[str, dict[str, str]]:
        """For each commit, the blob ids at `paths`; where there is no plain file, none."""
        wanted = list(dict.fromkeys(commits))
        asked = "".join(f"{commit}:{path}\n" for commit in wanted for path in paths).encode()
        rows = self._run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked).out
        blobs: dict[str, dict[str, str]] = {commit: {} for commit in wanted}
        keys = ((commit, path) for commit in wanted for path in paths)
        for (commit, path), row in zip(keys, rows.decode().splitlines(), strict=True):
            blob, _, kind = row.rpartition(" ")
            if kind == "blob":
                blobs[commit][path] = blob
        return blobs

    def lacking(self, ids: Iterable[str]) -> list[str]:
        """Which of these objects are not here, as in a shallow or partial clone, or an old one."""
        # All that is here is listed: asked for one by its id, a partial clone dies, or fetches it.
        flags = ("--batch-all-objects", "--unordered", "--batch-check=%(objectname)")
        here = set(self._run("cat-file", *flags).out.decode().split())
        return [one for one in dict.fromkeys(ids) if one not in here]

    def contents(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """The content of each blob. Raises: ConflictError where one is missing."""
        wanted = list(dict.fromkeys(blobs))
        return dict(zip(wanted, self._batch((blob, blob[:12]) for blob in wanted), strict=True))

    def blobs(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of files in a commit. Raises: ConflictError where one is missing."""
        return self.blobs_of({commit: list(paths)})[commit]

    def blobs_of(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, bytes]]:
        """For each commit, the contents of its files at those paths.

        Raises: ConflictError where one is missing.
        """
        found: dict[str, dict[str, bytes]] = {commit: {} for commit in wanted}
        keys = [(commit, path) for commit, paths in wanted.items() for path in paths]
        named = ((f"{commit}:{path}", f"{path} at {commit[:12]}") for commit, path in keys)
        for (commit, path), content in zip(keys, self._batch(named), strict=True):
            found[commit][path] = content
        return found

    def _batch(self, wanted: Iterable[tuple[str, str]]) -> Iterator[bytes]:
        """The contents of objects, each given by its name for git and its name for people."""
        asked = list(wanted)
        names = "".join(f"{name}\n" for name, _ in asked).encode("utf-8", "surrogateescape")
        out = self._run("cat-file", "--batch", stdin=names).out
        at = 0
        for _, shown in asked:
            end = out.index(b"\n", at)
            blob, kind, *size = out[at:end].rsplit(b" ", 2)
            if kind != b"blob":
                raise ConflictError(
                    f"{self.place} lacks the content of {shown}",
                    remedy="fetch it where a partial or shallow clone left it out; where "
                    f"`git fsck` tells of damage, {ANEW}",
                )
            start, length = end + 1, int(size[0])
            content = out[start : start + length]
            if blob_id(content) != blob.decode():  # which git itself does not look at here
                raise damaged(self.place, f"it holds {shown} damaged")
            yield content
            at = start + length + 1

    def renames(self, old: str, new: str) -> Mapping[str, str]:
        """Files of `old` that lie elsewhere in `new`, as git's similarity finds them."""
        flags = ("-r", "-z", "-M", "--diff-filter=R", "--name-status", "-l0")
        row = self._run("diff-tree", *flags, old, new).out.decode("utf-8", "surrogateescape")
        fields = row.split("\0")[:-1]
        return dict(zip(fields[1::3], fields[2::3], strict=True))

    def changed(self, old: str, new: str) -> list[str]:
        """The paths at which two commits differ."""
        out = self._run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new).out
        return [path.decode("utf-8", "surrogateescape") for path in out.split(b"\0") if path]

    def changes(self, chain: Sequence[str]) -> dict[str, dict[str, bool]]:
        """For each commit of a chain but the first, the paths at which it differs from the one
        before it, and whether each is there still.
        """
        pairs = "".join(f"{commit} {before}\n" for before, commit in pairwise(chain))
        flags = ("-r", "-z", "--stdin", "--name-status", "--no-renames")
        out = self._run("diff-tree", *flags, stdin=pairs.encode()).out
        found: dict[str, dict[str, bool]] = {commit: {} for commit in chain[1:]}
        fields = iter(out.decode("utf-8", "surrogateescape").split("\0")[:-1])
        commit = ""
        for field in fields:
            if field in found:  # as no status is: it heads what is said of it
                commit = field
            else:
                found[commit][next(fields)] = field != "D"
        return found

    def history(self, tip: str, limit: int = 500) -> list[PastCommit]:
        """First-parent history from `tip` back, newest first, as far as it is here.

        A shallow clone ends at a commit whose parent is named, and not here.
        """
        # The raw form names a commit's true parent also where a shallow clone ends.
        rows = self._run("rev-list", "--first-parent", "--header", f"-{limit}", tip, "--").out
        return [_past(row) for row in rows.decode("utf-8", "replace").split("\0") if row]

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `commit` is `of` or one before it."""
        return self._run("merge-base", "--is-ancestor", commit, of, ok=(0, 1)).code == 0

    def commits_between(self, start: str, tip: str) -> list[str]:
        """The first-parent commits after `start`, oldest first."""
        out = self._run("rev-list", "--reverse", "--first-parent", f"{start}..{tip}").out
        return out.decode().split()

    def words(self, commits: Sequence[str]) -> dict[str, tuple[bytes, str, str]]:
        """Message, author ("Name <mail>") and author date (RFC 2822) of each commit.

        Raises: InvalidError where they are not UTF-8.
        """
        if not commits:  # which git would take for HEAD
            return {}
        flags = ("--stdin", "--no-walk=unsorted", "-z", "--format=%an <%ae>%n%aD%n%B")
        out = self._run("log", *flags, stdin="\n".join(commits).encode()).out
        rows = out.split(b"\0")[:-1]
        return {commit: _words(commit, row) for commit, row in zip(commits, rows, strict=True)}

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
        stream += b"reset %s\nfrom %s\n\ndone\n" % (scratch.encode(), ABSENT.encode())
        flags = ("--quiet", "--done", "--force", "--date-format=rfc2822", "--cat-blob-fd=1")
        since = time.time()
        try:
            done = self._run("fast-import", *flags, stdin=bytes(stream))
        except PatcherError:
            self._sweep(since)
            raise
        return done.out.decode().split()

    def _sweep(self, since: float) -> None:
        """Remove the pack that a fast-import left half written, which on a full disk is in the way;
        git itself would do it in two weeks.
        """
        asked = self._run("rev-parse", "--git-path", "objects/pack", ok=(0, 128))
        for left in (self.place / os.fsdecode(asked.out).strip()).glob("tmp_pack_*"):
            with suppress(OSError):
                if left.stat().st_mtime > since - 1:
                    left.unlink()

    def move_ref(self, ref: str, new: str, *, expect: str) -> None:
        """Compare and swap, where 40 zeros stand for "absent"; done already counts as done.

        Raises: ConflictError where `ref` is at neither.
        """
        done = self._run("update-ref", ref, new, expect, ok={0, 128})
        if done.code == 0 or (now := self.resolve(ref) or ABSENT) == new:
            return
        if now != expect:
            raise ConflictError(f"{ref} moved meanwhile", remedy="run the command again")
        if b"; cannot create" in done.err:  # a branch a keeps one a/b from being made
            raise ConflictError(
                f"the branch {ref.removeprefix('refs/heads/')} can't be made: {done.complaint}",
                remedy="choose another name with --onto-branch NAME",
            )
        raise failed(self.place, "update-ref", done)

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

    def add_worktree(self, place: Path, commit: str) -> None:
        """Make `place` a linked working tree, HEAD detached at `commit`, no file there yet."""
        self._run("worktree", "add", "-f", "--no-checkout", "--detach", str(place), commit)

    def forget_worktrees(self) -> None:
        """Drop what is recorded of linked working trees whose folders are gone."""
        self._run("worktree", "prune", "--expire", "now")

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        ok: Iterable[int] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        return run(self.place, *arguments, stdin=stdin, ok=ok, variables=variables)


def _words(commit: str, row: bytes) -> tuple[bytes, str, str]:
    """What `git log` says of a commit. Raises: InvalidError where it is not UTF-8."""
    try:
        row.decode()
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"the words of commit {commit[:10]} are not UTF-8",
            remedy="write them anew (`git commit --amend --reset-author`, or a rebase)",
        ) from error
    author, date, message = row.split(b"\n", 2)
    return message.strip(b"\n") + b"\n", author.decode(), date.decode()


def _past(row: str) -> PastCommit:
    """What `git rev-list --header` says of a commit."""
    head, _, message = row.partition("\n\n")
    identity, *lines = head.split("\n")
    fields = [line.partition(" ") for line in lines]
    parent = next((value for key, _, value in fields if key == "parent"), None)
    committer = next(value for key, _, value in fields if key == "committer")
    subject = " ".join(line.strip() for line in takewhile(str.strip, message.split("\n")))
    return PastCommit(identity, parent, committer.rsplit(" ", 2)[0] == IDENTITY, subject)
