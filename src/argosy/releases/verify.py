"""Whether a stored Release may be used, and who vouches for it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from argosy.api.release import Release
from argosy.releases import index
from argosy.releases.bundle import ReleaseError, unpack


class Reason(StrEnum):
    """The reasons of a Release's Ready condition."""

    VERIFIED = "Verified"
    TRUSTED = "Trusted"
    UNKNOWN = "Unknown"
    CORRUPT = "Corrupt"


class Verdict(NamedTuple):
    """The content of a Release's Ready condition."""

    ok: bool
    reason: Reason
    message: str


def verdict(release: Release) -> Verdict:
    """Judge a Release by its content, not by what it says about itself."""
    spec = release.spec
    try:
        parts = unpack(release).digests()
    except ReleaseError as error:
        return Verdict(ok=False, reason=Reason.CORRUPT, message=str(error))
    known = index.known(spec.version)
    differs = [] if known is None else sorted(p for p in parts if known.content.get(p) != parts[p])
    if known and not differs:
        return Verdict(ok=True, reason=Reason.VERIFIED, message=f"as upstream published it in {known.module}")
    if spec.trust:
        what = (
            f"upstream's differs in {', '.join(differs)}" if known else "not in the index of known versions"
        )
        return Verdict(
            ok=True, reason=Reason.TRUSTED, message=f"imported from {spec.source} on trust: {what}"
        )
    if known:
        return Verdict(
            ok=False,
            reason=Reason.CORRUPT,
            message=f"not what upstream published: {', '.join(differs)}; delete it and import it again",
        )
    return Verdict(
        ok=False,
        reason=Reason.UNKNOWN,
        message=f"the index of known versions does not list {spec.version}: import it again with --trust, "
        "or use an Argosy that knows it",
    )
