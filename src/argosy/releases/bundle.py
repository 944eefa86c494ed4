"""The content of a Release: Argo CD's manifests, packed for an API server and unpacked for rendering.

Knows how content is encoded and what bounds it. Does not know where content comes from, nor which
versions exist.

The JSON is canonical (sorted keys, no blanks), so equal manifests have equal digests. The digests of known
versions in the index depend on it: a change of the encoding makes every stored Release look damaged.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from argosy.api.release import Release, ReleaseSpec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Obj = dict[str, Any]

#: The variants of an installation, and the file upstream from which each one comes.
VARIANTS = {
    "cluster": "manifests/install.yaml",
    "namespaced": "manifests/namespace-install.yaml",
    "cluster-ha": "manifests/ha/install.yaml",
    "namespaced-ha": "manifests/ha/namespace-install.yaml",
}

#: Bytes. A release unpacks to about 1 MB; more than this is an attack or a mistake.
MAX_UNPACKED = 32 << 20
LEVEL = 19


class ReleaseError(Exception):
    """What was given cannot serve as a release; the message says where, what, and what to do."""


class Bundle(Struct, frozen=True):
    """The manifests of one version. The CRDs stand once; the variants are without them.

    Each part is kept as JSON and decoded anew for whoever asks: that is faster than copying objects, and
    nobody can change what another one sees.
    """

    version: str
    crds: Raw
    variants: dict[str, Raw]

    @classmethod
    def of(cls, version: str, *, crds: Sequence[Obj], variants: Mapping[str, Sequence[Obj]]) -> Bundle:
        """Encode objects."""
        encoded = {name: _canonical(list(objects)) for name, objects in variants.items()}
        return cls(version, _canonical(list(crds)), encoded)

    def objects(self, variant: str) -> list[Obj]:
        """Return fresh copies of the objects of a variant, in upstream's order, or ReleaseError."""
        if variant not in self.variants:
            has = ", ".join(sorted(self.variants)) or "none"
            raise ReleaseError(
                f"Release {self.version} holds no manifests for the variant {variant} (it has: {has}); "
                "import it again from a folder or an archive that has all of upstream's manifests"
            )
        return _objects(self.variants[variant])

    def custom_resource_definitions(self) -> list[Obj]:
        """Return fresh copies of the CRDs."""
        return _objects(self.crds)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each part: the variants by name, and ``crds``."""
        return {name: _sha256(raw) for name, raw in {"crds": self.crds, **self.variants}.items()}


def variant(*, cluster_wide: bool, high_availability: bool) -> str:
    """Return the name of the variant that an instance needs."""
    return ("cluster" if cluster_wide else "namespaced") + ("-ha" if high_availability else "")


def pack(bundle: Bundle) -> tuple[str, str]:
    """Return the content for ``spec.content``, and its digest for ``spec.digest``."""
    plain = msgspec.json.encode(bundle, order="sorted")
    return base64.b64encode(zstd.compress(plain, LEVEL)).decode(), _sha256(plain)


def unpack(release: Release) -> Bundle:
    """Return the content of a Release; ReleaseError if it is not what its digest says."""
    try:
        return _unpack(release.spec)
    except (ValueError, zstd.ZstdError) as error:
        raise ReleaseError(
            f"the content of Release {release.metadata.name} is damaged: {error}; "
            "delete the Release and import it again"
        ) from error


def _unpack(spec: ReleaseSpec) -> Bundle:
    plain = _decompress(base64.b64decode(spec.content, validate=True))
    digest = _sha256(plain)
    if digest != spec.digest:
        raise ValueError(f"its digest is {digest}, not {spec.digest}")
    bundle = msgspec.json.decode(plain, type=Bundle)
    if bundle.version != spec.version:
        raise ValueError(f"it is that of version {bundle.version}")
    return bundle


def _canonical(objects: list[Obj]) -> Raw:
    return Raw(msgspec.json.encode(objects, order="sorted"))


def _objects(raw: Raw) -> list[Obj]:
    return msgspec.json.decode(raw, type=list[Obj])


def _sha256(data: bytes | Raw) -> str:
    return hashlib.sha256(data).hexdigest()


def _decompress(packed: bytes) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    plain = decompressor.decompress(packed, max_length=MAX_UNPACKED)
    if not decompressor.eof:
        raise ValueError(f"it is cut short, or larger than {MAX_UNPACKED >> 20} MiB unpacked")
    if decompressor.unused_data:
        raise ValueError("something follows its end")
    return plain
