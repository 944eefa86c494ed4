"""Manifests that are fetched over the network: from https addresses, and as OCI artifacts from a registry.

Knows HTTP and the registry API (OCI distribution specification 1.1). Does not know what the files say.
Certificates are checked against the system's authorities, or those in the file that SSL_CERT_FILE names;
proxies are taken from the environment. An address may hold secrets: none is shown.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from ipaddress import ip_address
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import aiohttp
import msgspec
from msgspec import Meta, Struct, field
from yarl import URL

from argosy.releases import sources
from argosy.releases.bundle import ReleaseError

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
#: The annotation by which tools such as oras name a layer that is one file.
TITLE = "org.opencontainers.image.title"

MAX_HOPS = 5
MAX_MANIFEST = 4 << 20
#: Seconds: for everything, for a connection, between two pieces of an answer.
TIMEOUT = aiohttp.ClientTimeout(total=900, sock_connect=15, sock_read=60)

T = TypeVar("T")

_REFERENCE = re.compile(
    r"oci://(?P<host>[^/@?#]+)/(?P<name>[a-z0-9._/-]+)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


class Descriptor(Struct, frozen=True, rename="camel"):
    """Content in a registry."""

    digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0)]
    annotations: dict[str, str] = field(default_factory=dict)


class Manifest(Struct, frozen=True):
    """An image or artifact, or an index of several."""

    layers: list[Descriptor] = field(default_factory=list)
    manifests: list[Descriptor] = field(default_factory=list)


def is_remote(source: str) -> bool:
    """Tell whether a source is an address rather than a path."""
    return "://" in source


def shown(address: str | URL) -> str:
    """Return an address without what may be secret in it: user, password, query."""
    return str(URL(address).with_user(None).with_query(None).with_fragment(None))


async def files(address: str) -> dict[str, bytes]:
    """Return the manifests at an address, by their path upstream; a single file under its own name."""
    url = _url(address)
    try:
        async with Web() as web:
            if url.scheme == "oci":
                return await _artifact(web, address)
            data = await web.get(url, limit=sources.MAX_ARCHIVE)
            return sources.unpack(url.name or str(url.host), data)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        raise ReleaseError(f"{shown(url)} cannot be fetched: {why}") from error


class Web:
    """GET requests with bounds, which never follow a redirect out of https."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=True)
        self._tokens: dict[URL, str] = {}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, url: URL, *, limit: int, accept: str = "*/*") -> bytes:
        """Return what is at an address, of at most ``limit`` bytes; ReleaseError says why not."""
        at = url
        for _ in range(MAX_HOPS):
            token = self._tokens.get(at.origin())
            headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
            async with self._session.get(at, headers=headers, allow_redirects=False) as answer:
                if answer.status in {301, 302, 303, 307, 308}:
                    at = _redirected(at, answer.headers.get("Location", ""))
                elif answer.status == 401 and not token:
                    self._tokens[at.origin()] = await self._token(answer)
                elif answer.status == 200:
                    return await _body(answer, limit)
                else:
                    raise _refusal(at, answer.status)
        raise ReleaseError(f"{shown(url)} redirects more than {MAX_HOPS} times")

    async def _token(self, refusal: aiohttp.ClientResponse) -> str:
        """Return an anonymous token from the service that a registry names in its refusal."""
        challenge = refusal.headers.get("WWW-Authenticate", "")
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        service = URL(words.pop("realm", ""))
        if not challenge.lower().startswith("bearer ") or not _safe(service):
            raise _refusal(refusal.url, refusal.status)
        asked = service.update_query({k: v for k, v in words.items() if k in {"service", "scope"}})
        async with self._session.get(asked, allow_redirects=False) as answer:
            if answer.status != 200:
                raise _refusal(service, answer.status)
            granted = _decode(service, await _body(answer, MAX_MANIFEST), dict[str, Any])
        return str(granted.get("token") or granted.get("access_token") or "")


def _url(address: str) -> URL:
    try:
        url = URL(address)
    except ValueError as error:
        raise ReleaseError(f"the address cannot be read: {error}") from error
    if url.scheme not in {"https", "oci"} or not url.host:
        raise ReleaseError(
            f"an address of the kind {url.scheme}:// cannot be imported: it begins with https:// or oci://, "
            "and a path has no :// in it"
        )
    return url


async def _artifact(web: Web, address: str) -> dict[str, bytes]:
    match = _REFERENCE.fullmatch(address)
    if not match:
        raise ReleaseError(
            f"{shown(address)}: wanted is oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:DIGEST"
        )
    host = URL(f"https://{match['host']}")
    registry = (host if not _loopback(host) else host.with_scheme("http")) / "v2" / match["name"]
    manifest = await _manifest(web, registry, match["digest"] or match["tag"] or "latest")
    if sum(layer.size for layer in manifest.layers) > sources.MAX_ARCHIVE:
        raise ReleaseError(
            f"{address} is larger than {sources.MAX_ARCHIVE >> 20} MiB: no release of Argo CD is"
        )
    found: dict[str, bytes] = {}
    for layer in manifest.layers:
        data = await web.get(registry / "blobs" / layer.digest, limit=layer.size)
        _check_digest(address, layer.digest, data)
        name = layer.annotations.get(TITLE, layer.digest)
        found |= sources.archive(name, data) or {name: data}
    return found if len(found) == 1 else sources.select(address, found)


async def _manifest(web: Web, registry: URL, reference: str) -> Manifest:
    manifest = await _one_manifest(web, registry, reference)
    if len(manifest.manifests) > 1:
        choices = ", ".join(entry.digest for entry in manifest.manifests)
        raise ReleaseError(f"{registry}:{reference} is an index of several artifacts, name one: {choices}")
    for only in manifest.manifests:
        return await _one_manifest(web, registry, only.digest)
    return manifest


async def _one_manifest(web: Web, registry: URL, reference: str) -> Manifest:
    url = registry / "manifests" / reference
    data = await web.get(url, limit=MAX_MANIFEST, accept=", ".join(MANIFEST_TYPES))
    if reference.startswith("sha256:"):
        _check_digest(str(url), reference, data)
    return _decode(url, data, Manifest)


def _decode(url: URL, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise ReleaseError(f"{shown(url)} answers what no registry should: {error}") from error


async def _body(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ReleaseError(
                f"{shown(answer.url)} answers with more than {limit} bytes: no release is that large"
            )
    return bytes(body)


def _check_digest(where: str, expected: str, data: bytes) -> None:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != expected:
        raise ReleaseError(
            f"{where}: the registry sent {found} instead of {expected}: try again, or another one"
        )


def _redirected(at: URL, location: str) -> URL:
    # A signed address works only as it was written.
    to = at.join(URL(location, encoded=True))
    if not location or (to.scheme != "https" and to.origin() != at.origin()):
        raise ReleaseError(f"{shown(at)} redirects to {shown(to)}, not to https: use another address")
    return to


def _safe(url: URL) -> bool:
    return url.scheme == "https" or (url.scheme == "http" and _loopback(url))


def _loopback(url: URL) -> bool:
    try:
        return url.host == "localhost" or ip_address(url.host or "").is_loopback
    except ValueError:
        return False


def _refusal(url: URL, status: int) -> ReleaseError:
    what = {
        401: "wants a login, which an import does not do: fetch it yourself and import the file",
        403: "refuses access: fetch it yourself and import the file",
        404: "is not there: check the address and the version",
    }
    return ReleaseError(f"{shown(url)} {what.get(status, 'cannot be fetched now')} (HTTP {status})")
