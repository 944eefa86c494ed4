"""The index of known Argo CD versions: what upstream published, in figures and digests.

Knows one JSON file per version beside this module, written by ``tools/release_index.py``. Holds facts
only; no manifest is copied here.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct, field

from argosy.api.release import KubernetesRange, ManifestFile

INDEX = files(__package__) / "index"

_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII)


class KnownRelease(Struct, frozen=True, kw_only=True):
    """The facts about one version; ``sources`` says for each where upstream states it."""

    version: str
    #: The Go module whose archive holds the manifests, and its checksum in Go's checksum database.
    module: str
    checksum: str
    released: date
    #: Digests of upstream's files as published.
    files: list[ManifestFile]
    #: Digests of the parts of its bundle, as ``Bundle.digests`` gives them.
    content: dict[str, str]
    images: list[str]
    kubernetes: KubernetesRange
    support_end: date | None = None
    tools: dict[str, str] = field(default_factory=dict)
    config_keys: list[str] = field(default_factory=list)
    param_keys: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)


@cache
def all_versions() -> tuple[str, ...]:
    """Return the known versions, oldest first."""
    names = (entry.name for entry in INDEX.iterdir())
    return tuple(sorted((n.removesuffix(".json") for n in names if n.endswith(".json")), key=order))


@cache
def known(version: str) -> KnownRelease | None:
    """Return what is known about a version, or None."""
    if version not in all_versions():
        return None
    return msgspec.json.decode((INDEX / f"{version}.json").read_bytes(), type=KnownRelease)


def order(version: str) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
    """Return a sort key by precedence (Semantic Versioning 2.0, section 11); or ValueError."""
    match = _SEMVER.fullmatch(version)
    if not match:
        raise ValueError(f"{version!r} is not a version such as 3.6.1")
    major, minor, patch, pre = match.groups()
    # Numbers come before words, a version before its own prereleases never.
    words = pre.split(".") if pre else []
    ranked = tuple((not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words)
    return int(major), int(minor), int(patch), not pre, ranked


def minor(version: str) -> str:
    """Return the minor version, for example 3.6."""
    major, number, *_ = order(version)
    return f"{major}.{number}"
