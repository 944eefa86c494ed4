"""Who owns which field of an object, as server-side apply keeps it in ``managedFields``.

Whoever changes a field takes it from its owner. So a manager's ownership set, hashed, tells from
the metadata alone whether somebody else has touched what that manager applied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw, Struct

from argosy.kube.objects import Obj


class ManagedFields(Struct, rename="camel", frozen=True, gc=False):
    """One manager's entry; the set itself stays as the bytes that the server sent."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: Raw = msgspec.field(name="fieldsV1", default=Raw(b"{}"))


@dataclass(frozen=True)
class Culprit:
    """A manager that owns a field, and since when (RFC 3339, or nothing)."""

    manager: str
    time: str


def entry_hash(entries: Iterable[ManagedFields], manager: str) -> str:
    """Hash what a manager owns by apply; empty when it owns nothing."""
    for entry in entries:
        if entry.manager == manager and entry.operation == "Apply" and not entry.subresource:
            data = bytes(entry.fields_v1)
            if b"\\u" in data:  # the server escapes more characters than this side does
                data = msgspec.json.encode(msgspec.json.decode(data))
            return hashlib.blake2b(data, digest_size=8).hexdigest()
    return ""


def owned_hash(obj: Obj, manager: str) -> str:
    """Hash what a manager owns by apply, of an object that is decoded already.

    The server writes the set with its keys in one fixed order, which decoding keeps, so the bytes
    are the same as those of `entry_hash`.
    """
    for entry in obj["metadata"].get("managedFields", ()):
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            data = msgspec.json.encode(entry.get("fieldsV1", {}))
            return hashlib.blake2b(data, digest_size=8).hexdigest()
    return ""


def changed_by(obj: Obj, paths: Iterable[str], *, ignoring: str) -> list[Culprit]:
    """Return the managers, other than one, that own any of the fields at ``paths``, newest first."""
    wanted = [segments(path) for path in paths]
    culprits = {
        Culprit(entry.get("manager", ""), entry.get("time", ""))
        for entry in obj["metadata"].get("managedFields", ())
        if entry.get("manager") != ignoring and any(owns(entry.get("fieldsV1", {}), path) for path in wanted)
    }
    return sorted(culprits, key=lambda culprit: culprit.time, reverse=True)


def segments(path: str) -> list[str]:
    """Split a path such as ``spec.containers[main].image``; a name in brackets may hold dots."""
    return [a or b for a, b in re.findall(r"\[([^\]]*)\]|([^.\[\]]+)", path)]


def owns(fields: Any, path: list[str]) -> bool:
    """Tell whether an ownership set holds a path, the thing above it, or something below it."""
    if not path or not fields:
        return True
    return any(owns(inner, path[1:]) for inner in matching(fields, path[0]))


def matching(fields: dict[str, Any], segment: str) -> Iterator[Any]:
    """Yield the parts of an ownership set that one segment of a path may mean.

    A label's key may hold dots, which cut it into segments, so a field counts by its beginning.
    """
    for owned, inner in fields.items():
        kind, _, name = owned.partition(":")
        if kind == "f" and (name == segment or name.startswith(f"{segment}.")):
            yield {} if name != segment else inner
        elif kind == "k":
            values = msgspec.json.decode(name).values()
            if segment in (",".join(map(str, values)), *map(str, values)):
                yield inner
        elif kind == "v" and msgspec.json.decode(name) == segment:
            yield inner
