"""A series as drafts of commits, to be moved, folded into one another and given new words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ltx2_patcher.boundaries.objects import NewCommit
from ltx2_patcher.rules.series.mailbox import file_name
from ltx2_patcher.rules.series.message import Words, parse_message, reworded
from ltx2_patcher.rules.series.stack import Layer, moved, texts
from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.series import Series

OVERLAY = "overlay"
"""What `edit` calls the overlay, which is no patch."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A patch to be: its words, and its edits as a layer of the stack."""

    message: str
    group: str
    author: str
    date: str
    layer: Layer


@dataclass(frozen=True, slots=True)
class NewWords:
    """What a patch shall say of itself; None: as before."""

    message: str | None
    group: str | None
    status: str | None


def drafts_in(series: Series) -> list[Draft]:
    """The series as it is."""
    return [
        Draft(
            f"{patch.subject}\n\n{patch.body}\n",
            patch.group,
            patch.author,
            patch.date,
            Layer(patch.name, {diff.path: diff.edits for diff in patch.diffs}),
        )
        for patch in series.patches
    ]


def commits_to(base: Mapping[str, bytes], drafts: Sequence[Draft]) -> list[NewCommit]:
    """The commits that the drafts are on the contents `base`."""
    files = texts(base, [draft.layer for draft in drafts])
    return [
        NewCommit(draft.message.encode(), draft.author, draft.date, content)
        for draft, content in zip(drafts, files, strict=True)
    ]


def with_moved(
    base: Mapping[str, bytes], drafts: Sequence[Draft], old: int, new: int
) -> list[Draft]:
    """The drafts with the one at index `old` at index `new`. Raises: Entangled."""
    layers = moved(base, [draft.layer for draft in drafts], old, new)
    order = list(drafts)
    order.insert(new, order.pop(old))
    return [replace(draft, layer=layer) for draft, layer in zip(order, layers, strict=True)]


def folded(base: Mapping[str, bytes], series: Series, name: str, edits: Layer) -> list[NewCommit]:
    """The series as commits, with `edits` of the files at its end in the patch `name`.

    Raises: UsageError where there is no such patch; Entangled where they build on a later one.
    """
    drafts = drafts_in(series)
    at = index_of(drafts, name)
    mine = replace(drafts[at], layer=edits)
    made = commits_to(base, with_moved(base, [*drafts, mine], len(drafts), at + 1))
    fold = made.pop(at + 1)
    made[at] = replace(made[at], files={**made[at].files, **fold.files})
    return made


def new_message(series: Series, name: str, words: NewWords) -> str:
    """What the patch `name` says with these words.

    Raises: UsageError where there is no such patch; InvalidError where that is no message.
    """
    drafts = drafts_in(series)
    message = words.message or drafts[index_of(drafts, name)].message
    return reworded(message, group=words.group, status=words.status)


def reworded_in(
    base: Mapping[str, bytes], series: Series, name: str, message: str
) -> list[NewCommit]:
    """The series as commits, in which the patch `name` says `message`; in another group it is last.

    Raises: UsageError where the new name is taken; Entangled where it can't go to its group.
    """
    drafts = drafts_in(series)
    at = index_of(drafts, name)
    words = parse_message("the message", message)
    rest = drafts[:at] + drafts[at + 1 :]
    require_free(rest, named(words))
    stays = words.group == drafts[at].group
    drafts[at] = replace(drafts[at], message=message, group=words.group)
    if not stays:
        drafts = with_moved(base, drafts, at, end_of(rest, words.group))
    return commits_to(base, drafts)


def index_of(drafts: Sequence[Draft], name: str) -> int:
    """Raises: UsageError where the series has no such patch, with the near ones."""
    names = [draft.layer.name for draft in drafts]
    if plain(name) not in names:
        near = get_close_matches(plain(name), names) or names
        raise UsageError(f"no patch {name!r} in the series", remedy=f"choose {' or '.join(near)}")
    return names.index(plain(name))


def end_of(drafts: Sequence[Draft], group: str) -> int:
    """Where the next patch of `group` goes."""
    place = GROUPS.index(group)
    return sum(GROUPS.index(draft.group) <= place for draft in drafts)


def require_free(drafts: Sequence[Draft], name: str) -> None:
    """Raises: UsageError where a patch can't have that name beside these."""
    if name == plain(OVERLAY):
        raise UsageError(f"{name} would be taken for the overlay", remedy="choose another subject")
    if any(draft.layer.name == name for draft in drafts):
        raise UsageError(
            f"{name} is in the series already", remedy="choose another subject, or `edit` that one"
        )


def named(words: Words) -> str:
    """The file's name for a patch that says these words. Raises: InvalidError where it has none."""
    name = file_name(words.subject)
    if name == ".patch":
        raise InvalidError(
            f"the subject {words.subject!r} gives no file name", remedy="write it in plain letters"
        )
    return name


def plain(name: str) -> str:
    """The file's name of a patch, which may be given without its ending."""
    return name.removesuffix(".patch") + ".patch"
