"""Importing: from manifests, wherever they come from, to a Release that the index vouches for.

Knows the order of the checks. Does not know how anything is fetched, parsed or packed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from argosy.api.meta import ObjectMeta
from argosy.api.release import ManifestFile, Release, ReleaseSpec
from argosy.releases import fetch, index, manifests, sources
from argosy.releases.bundle import VARIANTS, Obj, ReleaseError, pack
from argosy.releases.index import KnownRelease


async def import_release(source: str, *, trust: bool) -> Release:
    """Return the Release at a folder, a file, an https address or an OCI artifact (``oci://``).

    ReleaseError says what is wrong with it. ``trust`` admits a version that the index does not know.
    """
    if fetch.is_remote(source):
        return release_of(await fetch.files(source), source=fetch.shown(source), trust=trust)
    return release_of(sources.read(Path(source)), source=source, trust=trust)


def release_of(files: Mapping[str, bytes], *, source: str, trust: bool) -> Release:
    """Return the Release that upstream's files make up, by their path upstream; every digest is checked."""
    objects = {path: manifests.parse(path, data) for path, data in files.items()}
    paths = {path: _place(path, objects[path]) for path in files}
    bundle = manifests.bundle_of({paths[path]: found for path, found in objects.items()})
    digests = {paths[path]: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    known = index.known(bundle.version)
    if known:
        _check(known, digests)
    elif not trust:
        raise ReleaseError(
            f"{source} is Argo CD {bundle.version}, which the index of known versions does not list: nothing "
            "vouches for it. If you know where it comes from, import it with --trust; "
            f"the newest known version is {index.all_versions()[-1]}"
        )
    content, digest = pack(bundle)
    spec = ReleaseSpec(
        version=bundle.version,
        source=source,
        digest=digest,
        content=content,
        trust=known is None,
        files=[ManifestFile(path=path, sha256=found) for path, found in sorted(digests.items())],
        images=manifests.images_of(bundle),
        kubernetes=known.kubernetes if known else None,
        support_end=known.support_end.isoformat() if known and known.support_end else "",
        config_keys=known.config_keys if known else [],
        param_keys=known.param_keys if known else [],
    )
    return Release(metadata=ObjectMeta(name=bundle.version), spec=spec)


def _place(path: str, objects: list[Obj]) -> str:
    """Return a file's path upstream; a file under a name of its own is known by what is in it."""
    if path.startswith(f"{sources.TOP}/"):
        return path
    return VARIANTS[manifests.variant_of(path, objects)]


def _check(known: KnownRelease, digests: Mapping[str, str]) -> None:
    expected = {file.path: file.sha256 for file in known.files}
    for path, found in sorted(digests.items()):
        if expected.get(path) == found:
            continue
        other = next((p for p, sha256 in expected.items() if sha256 == found), None)
        if other:
            raise ReleaseError(
                f"{path} is upstream's {other}: give the folder above it, with upstream's layout"
            )
        raise ReleaseError(
            f"{path} is not what upstream published for Argo CD {known.version}: its SHA-256 is {found}, "
            f"expected is {expected.get(path, 'no such file')}. It was changed or cut short on its way: "
            f"fetch it again, for example from {known.module}. Changed manifests need a version of their "
            "own (the image tag of argocd-server), and --trust"
        )
