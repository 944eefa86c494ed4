"""Where manifests are found on disk: a folder, an archive, or a single file.

Knows layouts and archives, and bounds both. Does not know what the files say.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from argosy.releases.bundle import VARIANTS, ReleaseError

#: Upstream's folder; the paths of all manifests begin with it.
TOP = PurePosixPath("manifests")
#: Its files with the CRDs.
CRDS = "crds/*-crd.yaml"

#: Bytes. Upstream's largest manifest has 2.2 MB, its source archive 60 MB, 200 MB unpacked.
MAX_FILE = 16 << 20
MAX_ARCHIVE = 256 << 20
MAX_UNPACKED = 2 << 30

_TAILS = {PurePosixPath(path).relative_to(TOP) for path in VARIANTS.values()}


def read(path: Path) -> dict[str, bytes]:
    """Return the manifests in a folder, an archive or a file, by their path upstream.

    A single file, which may have any name, is returned under its own.
    """
    try:
        if path.is_dir():
            return select(str(path), _folder(path))
        _bounded(str(path), path.stat().st_size, MAX_ARCHIVE)
        return unpack(path.name, path.read_bytes())
    except OSError as error:
        raise ReleaseError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def unpack(name: str, data: bytes) -> dict[str, bytes]:
    """Do the same with the bytes of an archive or a single manifest."""
    entries = archive(name, data)
    return {name: data} if entries is None else select(name, entries)


def archive(name: str, data: bytes) -> dict[str, bytes] | None:
    """Return those entries of an archive that may be manifests; None if it is no archive."""
    try:
        if data[:4] == b"PK\x03\x04":
            return dict(_zip_entries(name, data))
        if data[:2] == b"\x1f\x8b" or data[257:262] == b"ustar":
            return dict(_tar_entries(name, data))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ReleaseError(f"{name} is a damaged archive ({error}): fetch it again") from error
    return None


def select(name: str, entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the wanted entries by their path upstream, wherever upstream's tree stands among them."""
    paths = {PurePosixPath(entry): data for entry, data in entries.items()}
    roots = {
        p.parents[len(t.parts) - 1] for p in paths for t in _TAILS if p.parts[-len(t.parts) :] == t.parts
    }
    if not roots:
        raise ReleaseError(
            f"{name} holds no Argo CD manifests: wanted is a folder with {VARIANTS['cluster']} in it, "
            "as in upstream's source, or that file itself"
        )
    root = min(roots, key=lambda r: (r.name != TOP.name, len(r.parts), r))
    below = {p.relative_to(root): data for p, data in paths.items() if p.is_relative_to(root)}
    return {
        str(TOP / path): data
        for path, data in sorted(below.items())
        if path in _TAILS or (len(path.parts) == 2 and path.match(CRDS))
    }


def _folder(folder: Path) -> dict[str, bytes]:
    root = folder / TOP if (folder / TOP).is_dir() else folder
    paths = [p for p in (root / tail for tail in _TAILS) if p.is_file()] + list(root.glob(CRDS))
    for path in paths:
        _bounded(str(path), path.stat().st_size, MAX_FILE)
    return {str(TOP / path.relative_to(root)): path.read_bytes() for path in paths}


def _tar_entries(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    unpacked = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            # Even an entry that is not wanted is unpacked, to reach the next one.
            unpacked += member.size
            _bounded(f"{name}, unpacked,", unpacked, MAX_UNPACKED)
            wanted = _candidate(name, member.name) and member.isreg()
            if wanted and (file := tar.extractfile(member)):
                _bounded(member.name, member.size, MAX_FILE)
                yield member.name, file.read()


def _zip_entries(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for info in packed.infolist():
            if _candidate(name, info.filename):
                with packed.open(info) as file:
                    content = file.read(MAX_FILE + 1)
                _bounded(info.filename, len(content), MAX_FILE)
                yield info.filename, content


def _candidate(name: str, entry: str) -> bool:
    """Tell whether an entry may be a manifest; nothing is ever written under its name."""
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        raise ReleaseError(f"{name} holds {entry!r}, a path that leads out of it: do not trust this archive")
    return path.match(CRDS) or any(path.match(str(tail)) for tail in _TAILS)


def _bounded(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise ReleaseError(f"{name} is larger than {limit >> 20} MiB: no release of Argo CD is")
