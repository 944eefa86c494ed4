"""Fetching over real connections: a TLS server with an authority of its own, and a real registry."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argosy.releases import fetch
from argosy.releases.bundle import ReleaseError
from argosy.releases.importer import import_release
from devcluster import certs, oci
from devcluster.build import build_all
from tests.unit.releases.small import VERSION
from tests.unit.releases.test_release_sources import below, tar

#: What a test's server answers to a path: status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


class Site:
    """An HTTP server on the loopback address with a few answers; it keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers.get("Authorization")))
                key = f"{self.path} {self.headers.get('Authorization')}"
                status, headers, body = site.answers.get(key) or site.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Clients that hang up or refuse a certificate are what some tests are about.
        self.server.handle_error = lambda *_: None
        self.host = f"127.0.0.1:{self.server.server_port}"

    def serve(self) -> None:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    certs.authority(folder)
    certs.issue(folder, "site", user="site", hosts=("127.0.0.1",))
    return folder


@pytest.fixture
def plain() -> Iterator[Site]:
    site = Site()
    site.serve()
    yield site
    site.close()


@pytest.fixture
def secure(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.crt"))
    site = Site()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "site.crt", authority / "site.key")
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    site.serve()
    yield site
    site.close()


@pytest.mark.usefixtures("listed")
async def test_a_release_is_imported_from_an_archive_at_an_https_address(secure, files) -> None:
    secure.answers["/argo-cd.tar.gz?key=secret"] = 200, {}, tar(below("argo-cd/", files))
    release = await import_release(f"https://me:hidden@{secure.host}/argo-cd.tar.gz?key=secret", trust=False)
    assert release.spec.version == VERSION
    assert release.spec.source == f"https://{secure.host}/argo-cd.tar.gz"


@pytest.mark.usefixtures("listed")
async def test_a_release_is_imported_from_a_single_file_behind_a_redirect(secure, files) -> None:
    signed = "/blob?sig=a%2Fb%2B"
    secure.answers["/install.yaml"] = 302, {"Location": signed}, b""
    secure.answers[signed] = 200, {}, files["manifests/install.yaml"]
    release = await import_release(f"https://{secure.host}/install.yaml", trust=False)
    assert [file.path for file in release.spec.files] == ["manifests/install.yaml"]


async def test_a_redirect_out_of_https_is_not_followed(secure, plain) -> None:
    secure.answers["/install.yaml"] = 302, {"Location": f"http://{plain.host}/install.yaml?k=1"}, b""
    with pytest.raises(ReleaseError, match=rf"redirects to http://{plain.host}/install\.yaml, not to https"):
        await fetch.files(f"https://{secure.host}/install.yaml")
    assert plain.asked == []


async def test_a_circle_of_redirects_ends(secure) -> None:
    secure.answers["/a"] = 302, {"Location": "/a"}, b""
    with pytest.raises(ReleaseError, match="redirects more than 5 times"):
        await fetch.files(f"https://{secure.host}/a")


async def test_a_server_with_an_unknown_authority_is_not_trusted(secure, monkeypatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ReleaseError, match=r"cannot be fetched: .*certificate"):
        await fetch.files(f"https://{secure.host}/install.yaml")
    assert secure.asked == []


@pytest.mark.parametrize(
    ("status", "message"), [(401, "wants a login"), (404, "is not there"), (503, "HTTP 503")]
)
async def test_a_refusal_says_what_to_do_and_shows_no_secret(secure, status, message) -> None:
    secure.answers["/a?key=secret"] = status, {}, b"no"
    with pytest.raises(ReleaseError, match=message) as refusal:
        await fetch.files(f"https://me:hidden@{secure.host}/a?key=secret")
    assert not {word for word in ("hidden", "secret") if word in str(refusal.value)}


async def test_an_answer_larger_than_any_release_is_not_read_to_its_end(secure, monkeypatch) -> None:
    monkeypatch.setattr(fetch.sources, "MAX_ARCHIVE", 1000)
    secure.answers["/a"] = 200, {}, bytes(1_000_000)
    with pytest.raises(ReleaseError, match="more than 1000 bytes"):
        await fetch.files(f"https://{secure.host}/a")


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"https://127.0.0.1:{unused.getsockname()[1]}/a"
    with pytest.raises(ReleaseError, match="cannot be fetched: Cannot connect"):
        await fetch.files(address)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1/install.yaml", "ftp://127.0.0.1/a", "file:///etc/passwd", "https:///a"]
)
async def test_only_https_and_registries_are_asked(address) -> None:
    with pytest.raises(ReleaseError, match="it begins with https:// or oci://"):
        await fetch.files(address)


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ReleaseError, match="the address cannot be read: Port out of range"):
        await fetch.files("https://127.0.0.1:99999/a")


async def test_a_redirect_to_nowhere_is_refused(secure) -> None:
    secure.answers["/a"] = 302, {"Location": "file:///etc/passwd"}, b""
    with pytest.raises(ReleaseError, match="cannot be fetched"):
        await fetch.files(f"https://{secure.host}/a")


class Registry:
    """A real registry, and how to push artifacts to it."""

    def __init__(self, host: str) -> None:
        self.host = host

    def push(self, name: str, tag: str, layers: dict[str, bytes], **extra: object) -> str:
        config = b"{}"
        described = []
        with oci.connection(f"http://{self.host}") as http_:
            for title, data in {"": config, **layers}.items():
                oci.push_blob(http_, name, oci.digest(data), io.BytesIO(data), len(data))
                layer = {
                    "mediaType": "application/octet-stream",
                    "digest": oci.digest(data),
                    "size": len(data),
                }
                described.append(layer | {"annotations": {fetch.TITLE: title}})
            manifest = {
                "schemaVersion": 2,
                "mediaType": oci.MANIFEST,
                "config": described[0],
                "layers": described[1:],
            }
            return self.put(http_, name, tag, {**manifest, **extra})

    def put(self, http_: http.client.HTTPConnection, name: str, tag: str, manifest: dict[str, object]) -> str:
        body = json.dumps(manifest).encode()
        headers = {"Content-Type": str(manifest["mediaType"])}
        oci.send(http_, "PUT", f"/v2/{name}/manifests/{tag}", body=body, headers=headers, allowed=(201,))
        return oci.digest(body)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": host},
    }
    (folder / "config.json").write_text(json.dumps(config))
    program = build_all(["registry"])["registry"] / "registry"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", folder / "config.json"], env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(host), (folder / "log"))
        yield Registry(host)
    finally:
        process.terminate()
        process.wait(10)


def answers(host: str) -> bool:
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port)), 1).close()
    except OSError:
        return False
    return True


def wait_until(ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@pytest.mark.usefixtures("listed")
async def test_a_release_is_imported_from_an_artifact_of_files(registry, files) -> None:
    digest = registry.push("mirror/argo-cd", "v9", files)
    for reference in (":v9", f"@{digest}", f":v9@{digest}"):
        release = await import_release(f"oci://{registry.host}/mirror/argo-cd{reference}", trust=False)
        assert {file.path for file in release.spec.files} == set(files)
        assert release.spec.source == f"oci://{registry.host}/mirror/argo-cd{reference}"


@pytest.mark.usefixtures("listed")
async def test_a_release_is_imported_from_an_artifact_of_one_folder_or_one_file(registry, files) -> None:
    registry.push("argo-cd", "latest", {"argo-cd": tar(below("argo-cd/", files))})
    registry.push("argo-cd", "one", {"argocd.yaml": files["manifests/install.yaml"]})
    whole = await import_release(f"oci://{registry.host}/argo-cd", trust=False)
    assert {file.path for file in whole.spec.files} == set(files)
    one = await import_release(f"oci://{registry.host}/argo-cd:one", trust=False)
    assert [file.path for file in one.spec.files] == ["manifests/install.yaml"]


@pytest.mark.usefixtures("listed")
async def test_an_index_of_one_artifact_is_followed_and_one_of_several_is_not(registry, files) -> None:
    digests = [registry.push("argo-cd", f"part{n}", files, annotations={"n": str(n)}) for n in range(2)]
    sizes = [{"digest": d, "size": 1, "mediaType": oci.MANIFEST} for d in digests]
    with oci.connection(f"http://{registry.host}") as http_:
        for tag, chosen in {"single": sizes[:1], "several": sizes}.items():
            entries = [each | {"size": size(registry, each["digest"])} for each in chosen]
            manifest = {"schemaVersion": 2, "mediaType": fetch.MANIFEST_TYPES[1], "manifests": entries}
            registry.put(http_, "argo-cd", tag, manifest)
    release = await import_release(f"oci://{registry.host}/argo-cd:single", trust=False)
    assert release.spec.version == VERSION
    with pytest.raises(
        ReleaseError, match=f"index of several artifacts, name one: {digests[0]}, {digests[1]}"
    ):
        await import_release(f"oci://{registry.host}/argo-cd:several", trust=False)


def size(registry: Registry, digest: str) -> int:
    with oci.connection(f"http://{registry.host}") as http_:
        headers = {"Accept": oci.MANIFEST}
        answer = oci.send(http_, "GET", f"/v2/argo-cd/manifests/{digest}", headers=headers, allowed=(200,))
    return int(answer.headers["Content-Length"])


async def test_a_tag_that_is_not_there_is_named(registry) -> None:
    with pytest.raises(ReleaseError, match="manifests/missing is not there"):
        await fetch.files(f"oci://{registry.host}/argo-cd:missing")


@pytest.mark.parametrize(
    "address", ["oci://host", "oci://host/UPPER:tag", "oci://host/a@sha256:12", "oci://h/a:t?q=1"]
)
async def test_a_reference_that_is_none_is_refused(address) -> None:
    with pytest.raises(ReleaseError, match="wanted is oci://HOST/NAME:TAG"):
        await fetch.files(address)


def artifact(site: Site, data: bytes, digest: str | None = None) -> None:
    layer = {"digest": digest or f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
    site.answers["/v2/a/manifests/t"] = 200, {}, json.dumps({"layers": [layer]}).encode()
    site.answers[f"/v2/a/blobs/{layer['digest']}"] = 200, {}, data


async def test_an_anonymous_token_is_fetched_where_a_registry_wants_one(plain) -> None:
    artifact(plain, b"kind: A")
    granted = plain.answers["/v2/a/manifests/t"]
    challenge = f'Bearer realm="http://{plain.host}/token",service="here",scope="repository:a:pull"'
    plain.answers["/v2/a/manifests/t"] = 401, {"WWW-Authenticate": challenge}, b""
    plain.answers["/v2/a/manifests/t Bearer pass"] = granted
    plain.answers["/token?service=here&scope=repository:a:pull"] = 200, {}, b'{"token": "pass"}'
    found = await fetch.files(f"oci://{plain.host}/a:t")
    assert list(found.values()) == [b"kind: A"]
    assert plain.asked[-1][1] == "Bearer pass"


async def test_a_token_is_not_sent_to_where_a_registry_redirects(plain, secure) -> None:
    artifact(plain, b"kind: A")
    blob = next(path for path in plain.answers if "blobs" in path)
    secure.answers["/blob"] = plain.answers[blob]
    plain.answers[f"{blob} Bearer pass"] = 307, {"Location": f"https://{secure.host}/blob"}, b""
    challenge = f'Bearer realm="http://{plain.host}/token"'
    plain.answers["/v2/a/manifests/t Bearer pass"] = plain.answers["/v2/a/manifests/t"]
    plain.answers["/v2/a/manifests/t"] = 401, {"WWW-Authenticate": challenge}, b""
    plain.answers["/token"] = 200, {}, b'{"access_token": "pass"}'
    await fetch.files(f"oci://{plain.host}/a:t")
    assert secure.asked == [("/blob", None)]


@pytest.mark.parametrize("realm", ["http://example.org/token", "", "file:///token"])
async def test_a_token_service_that_could_be_overheard_is_not_asked(plain, realm) -> None:
    plain.answers["/v2/a/manifests/t"] = 401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b""
    with pytest.raises(ReleaseError, match="wants a login"):
        await fetch.files(f"oci://{plain.host}/a:t")


async def test_a_layer_that_is_not_what_its_digest_says_is_refused(plain) -> None:
    artifact(plain, b"kind: A", digest=f"sha256:{'0' * 64}")
    with pytest.raises(ReleaseError, match=f"instead of sha256:{'0' * 64}"):
        await fetch.files(f"oci://{plain.host}/a:t")


@pytest.mark.parametrize("manifest", [b"<html>", b'{"layers": [{"digest": "../../x", "size": 1}]}'])
async def test_a_manifest_that_is_none_is_refused(plain, manifest) -> None:
    plain.answers["/v2/a/manifests/t"] = 200, {}, manifest
    with pytest.raises(ReleaseError, match="answers what no registry should"):
        await fetch.files(f"oci://{plain.host}/a:t")
