"""Container images without a container engine: layers as tar files, pushed over the registry's API.

Layers are not compressed: they go from one disk folder to another on the same machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from devcluster.cache import entry

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# The repository that every layer is uploaded to, for the others to mount from.
LAYERS = "layers"


class RegistryError(RuntimeError):
    """The registry refused something."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tar file and its digest."""

    path: Path
    digest: str

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Image:
    """Layers, and how a container starts from them (fields of the OCI image configuration)."""

    layers: list[Layer]
    start: dict[str, Any]

    def config(self) -> bytes:
        """Return the image configuration."""
        digests = [layer.digest for layer in self.layers]
        rootfs = {"type": "layers", "diff_ids": digests}
        what = {"architecture": ARCHITECTURE, "os": "linux", "config": self.start, "rootfs": rootfs}
        return json.dumps(what, sort_keys=True).encode()

    def manifest(self) -> bytes:
        """Return the manifest, whose digest is the image's."""
        config = self.config()
        layers = [{"mediaType": LAYER, "digest": each.digest, "size": each.size} for each in self.layers]
        head = {"mediaType": CONFIG, "digest": digest(config), "size": len(config)}
        what = {"schemaVersion": 2, "mediaType": MANIFEST, "config": head, "layers": layers}
        return json.dumps(what, sort_keys=True).encode()


@dataclass(frozen=True, kw_only=True)
class File:
    """One entry of a layer: content or a file to read it from, a link, or a folder if none of these."""

    content: bytes | Path | None = None
    link: str | None = None
    mode: int = 0o755
    owner: int = 0


def layer(key: str, files: Mapping[str, File]) -> Layer:
    """Return the layer of this key, made from ``files`` (path in the image to entry) if it is new."""
    with entry("layers", key) as (final, scratch):
        if scratch is not None:
            with tarfile.open(scratch / "layer.tar", "w") as tar:
                for name, file in sorted(files.items()):
                    add(tar, name, file)
            seal(scratch)
    return stored(final)


def stored(folder: Path) -> Layer:
    """Return the layer of a cache entry."""
    return Layer(path=folder / "layer.tar", digest=(folder / "digest").read_text())


def seal(scratch: Path) -> None:
    """Write the digest of ``layer.tar`` beside it."""
    with (scratch / "layer.tar").open("rb") as tar:
        (scratch / "digest").write_text("sha256:" + hashlib.file_digest(tar, "sha256").hexdigest())


def add(tar: tarfile.TarFile, name: str, file: File) -> None:
    """Add one entry; times are zero so that the same content has the same digest."""
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid = file.mode, file.owner, file.owner
    if file.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, file.link
        tar.addfile(info)
    elif isinstance(file.content, Path):
        info.size = file.content.stat().st_size
        with file.content.open("rb") as source:
            tar.addfile(info, source)
    elif file.content is not None:
        info.size = len(file.content)
        tar.addfile(info, io.BytesIO(file.content))
    else:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)


def push(registry: str, repository: str, tag: str, image: Image) -> bool:
    """Make the registry serve the image under this name; tell whether it was new there."""
    manifest = image.manifest()
    with connection(registry) as http_:
        path = f"/v2/{repository}/manifests/{tag}"
        answer = send(http_, "HEAD", path, headers={"Accept": MANIFEST}, allowed=(200, 404))
        if answer.headers.get("Docker-Content-Digest") == digest(manifest):
            return False
        for each in image.layers:
            push_layer(http_, repository, each)
        config = image.config()
        push_blob(http_, repository, digest(config), io.BytesIO(config), len(config))
        send(http_, "PUT", path, body=manifest, headers={"Content-Type": MANIFEST}, allowed=(201,))
    return True


def push_layer(http_: http.client.HTTPConnection, repository: str, each: Layer) -> None:
    """Make the repository have a layer, uploaded once for all repositories."""
    mount = f"/v2/{repository}/blobs/uploads/?mount={each.digest}&from={LAYERS}"
    if send(http_, "POST", mount, allowed=(201, 202)).status == 202:  # not there: an upload was begun instead
        with each.path.open("rb") as file:
            push_blob(http_, LAYERS, each.digest, file, each.size)
        send(http_, "POST", mount, allowed=(201,))


def push_blob(
    http_: http.client.HTTPConnection, repository: str, name: str, content: IO[bytes], size: int
) -> None:
    """Upload one blob."""
    begun = send(http_, "POST", f"/v2/{repository}/blobs/uploads/", allowed=(202,))
    where = urlsplit(begun.headers["Location"])
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    path = f"{where.path}?{where.query}&digest={name}"
    send(http_, "PUT", path, body=content, headers=headers, allowed=(201,))


def send(
    http_: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    allowed: tuple[int, ...],
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> http.client.HTTPResponse:
    """Send one request and read its answer; RegistryError if the status is none of ``allowed``."""
    http_.request(method, path, body=body, headers=headers or {})
    answer = http_.getresponse()
    text = answer.read()
    if answer.status not in allowed:
        words = text[:300].decode(errors="replace")
        raise RegistryError(f"registry: {method} {path}: {answer.status} {words}")
    return answer


@contextlib.contextmanager
def connection(registry: str) -> Iterator[http.client.HTTPConnection]:
    """Open a connection to the registry at an http URL."""
    http_ = http.client.HTTPConnection(urlsplit(registry).netloc, timeout=120)
    try:
        yield http_
    finally:
        http_.close()


def digest(content: bytes) -> str:
    """Return the digest of a blob as registries name it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
