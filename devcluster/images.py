"""The images that clusters pull, under their upstream names: Argo CD, Redis, pause, a demo, Argosy.

All stand on one root file system, so that it is built, stored and unpacked once. Which names a
version of Argo CD wants is read from that version's own manifests.
"""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster import oci
from devcluster.build import build_all, load_parts, say
from devcluster.cache import entry
from devcluster.node import PAUSE_IMAGE
from devcluster.oci import File, Image, Layer
from devcluster.services import REGISTRY

# The Debian whose Redis is of the 8 series, as the manifests of Argo CD 3.2 and later name it.
SUITE, PYTHON = "trixie", "3.13"
PACKAGES = ("ca-certificates", "git", "gnupg", "openssh-client", "python3", "redis-server", "tini")
WHEEL_PLATFORMS = ("manylinux2014", "manylinux_2_28")
USER = 999  # Argo CD's and Redis' user in the upstream images
CHECKOUT = Path(__file__).resolve().parent.parent
RUNTIME_LOCK = CHECKOUT / "requirements-runtime.lock"
WEB_IMAGE = "quay.io/argosy-demo/web:1"
ARGOSY_REPOSITORY = "ghcr.io/argosy/argosy"
SITE = f"usr/local/lib/python{PYTHON}/dist-packages"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TINI = ["/usr/bin/tini", "--"]
# argocd is one program that acts by the name it is called by.
ARGOCD_NAMES = (
    "application-controller",
    "applicationset-controller",
    "cmp-server",
    "commit-server",
    "dex",
    "k8s-auth",
    "notifications",
    "repo-server",
    "server",
)
ARGOCD_CONFIG = ("gpg", "gpg/keys", "gpg/source", "ssh", "tls")
# Argo CD reads what these print; a signature that cannot be verified is not an error to them.
GPG_WRAPPER = b"""#!/bin/sh
gpg "$@" 2>&1
status=$?
[ "$status" = 1 ] && exit 0
exit "$status"
"""
GIT_VERIFY_WRAPPER = b"""#!/bin/sh
git verify-commit --raw "$1" 2>&1
exit 0
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """An image as the registry serves it: its upstream name, and its digest."""

    name: str
    digest: str


def argocd_versions() -> list[str]:
    """List the versions of Argo CD that can be built, newest first."""
    versions = [name.removeprefix("argocd-") for name in load_parts() if name.startswith("argocd-")]
    return sorted(versions, key=lambda version: [int(number) for number in version.split(".")], reverse=True)


def parts_for(versions: Sequence[str] = ()) -> list[str]:
    """List the parts that the images of these versions of Argo CD, else of the newest, are made of."""
    for version in versions:
        if version not in argocd_versions():
            raise ValueError(f"no Argo CD {version} here; there is {', '.join(argocd_versions())}")
    return ["helm", "kustomize", *(f"argocd-{version}" for version in versions or argocd_versions()[:1])]


def serve_common() -> list[Served]:
    """Serve what every cluster needs: pause, and the demo's web server."""
    return [serve(PAUSE_IMAGE, pause()), serve(WEB_IMAGE, web())]


def serve_argocd(versions: Sequence[str] = ()) -> list[Served]:
    """Serve what the manifests of these versions of Argo CD, else of the newest, name.

    Of Dex and HAProxy, which the manifests name too, there is no package to build an image from.
    """
    served = dict[str, Served]()
    parts = build_all(parts_for(versions))
    for version in versions or argocd_versions()[:1]:
        for name in image_names(parts[f"argocd-{version}"] / "manifests"):
            product = name.rpartition("/")[2].partition(":")[0]
            if name not in served and product in ("argocd", "redis"):
                image = redis() if product == "redis" else argocd(version, parts)
                served[name] = serve(name, image)
    return list(served.values())


def serve_argosy() -> Served:
    """Serve Argosy itself, as this checkout is now."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return serve(f"{ARGOSY_REPOSITORY}:{project['version']}", argosy())


def serve(name: str, image: Image) -> Served:
    """Push an image under its upstream name unless it is there."""
    repository, _, tag = qualified(name).rpartition(":")
    if oci.push(REGISTRY, repository, tag, image):
        say(f"pushed {name}")
    return Served(name=name, digest=oci.digest(image.manifest()))


def qualified(name: str) -> str:
    """Return an image name with its host: a short one means docker.io, as for every container engine."""
    host, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in host or ":" in host else f"docker.io/{name}"


def image_names(manifests: Path) -> list[str]:
    """List the images that the ready-made manifests of a version name."""
    texts = [path.read_text() for path in (manifests / "install.yaml", manifests / "ha" / "install.yaml")]
    return sorted(set(re.findall(r"^\s*(?:- )?image: (\S+:\S+)$", "\n".join(texts), re.MULTILINE)))


def pause() -> Image:
    """Return the image that holds a pod's namespaces."""
    return Image(layers=[base()], start={"Entrypoint": [*TINI, "sleep", "infinity"]})


def redis() -> Image:
    """Return Redis."""
    start = {"Entrypoint": ["redis-server"], "User": str(USER), "WorkingDir": "/data"}
    return Image(layers=[base(), layer("redis", {"data": File(owner=USER)})], start=start)


def web() -> Image:
    """Return a tenant's workload: a page on port 8080."""
    page = b"<!doctype html><title>Argosy demo</title><h1>It works.</h1>\n"
    files = {"srv/index.html": File(content=page, mode=0o644)}
    command = ["python3", "-m", "http.server", "--directory", "/srv", "8080"]
    ports: dict[str, dict[str, str]] = {"8080/tcp": {}}
    start = {"Entrypoint": [*TINI, *command], "User": str(USER), "ExposedPorts": ports}
    return Image(layers=[base(), layer("web", files)], start=start)


def argocd(version: str, parts: dict[str, Path]) -> Image:
    """Return Argo CD of a version, laid out as its manifests expect."""
    programs = "usr/local/bin"
    tools = {
        f"{programs}/helm": File(content=parts["helm"] / "helm"),
        f"{programs}/kustomize": File(content=parts["kustomize"] / "kustomize"),
        f"{programs}/gpg-wrapper.sh": File(content=GPG_WRAPPER),
        f"{programs}/git-verify-wrapper.sh": File(content=GIT_VERIFY_WRAPPER),
        f"{programs}/entrypoint.sh": File(content=b'#!/bin/sh\nexec "$@"\n'),
        **{f"{programs}/argocd-{name}": File(link="argocd") for name in ARGOCD_NAMES},
        **{f"app/config/{name}": File(owner=USER) for name in ARGOCD_CONFIG},
        "home/argocd": File(owner=USER),
    }
    program = {f"{programs}/argocd": File(content=parts[f"argocd-{version}"] / "argocd")}
    start = {
        "Entrypoint": TINI,
        "User": str(USER),
        "WorkingDir": "/home/argocd",
        "Env": [f"PATH={PATH}", "HOME=/home/argocd", "USER=argocd"],
    }
    layers = [base(), layer("argocd-tools", tools), layer(f"argocd-{version}", program)]
    return Image(layers=layers, start=start)


def argosy() -> Image:
    """Return Argosy from the checkout: its dependencies in one layer, its own code in another."""
    start = {"Entrypoint": ["argosy"], "User": str(USER), "WorkingDir": "/tmp"}
    return Image(layers=[base(), dependencies(), checkout()], start=start)


def dependencies() -> Layer:
    """Return the layer of Argosy's locked dependencies, built for the image's Python."""
    key = f"argosy-dependencies-{short_hash([RUNTIME_LOCK])}"
    with entry("wheels", key) as (final, scratch):
        if scratch is not None:
            say("installing Argosy's dependencies for its image")
            command = ["install", f"--target={scratch}", f"--python-version={PYTHON}", "--only-binary=:all:"]
            command += [f"--platform={tag}_{platform.machine()}" for tag in WHEEL_PLATFORMS]
            command += ["--no-deps", "--no-compile", "--require-hashes", f"--requirement={RUNTIME_LOCK}"]
            pip(command)
    found = {path.relative_to(final): path for path in final.rglob("*") if path.is_file()}
    kept = {name: path for name, path in found.items() if name.parts[0] != "bin"}
    return oci.layer(key, {f"{SITE}/{name}": File(content=path, mode=0o644) for name, path in kept.items()})


def checkout() -> Layer:
    """Return the layer of Argosy's own code, by way of its wheel: what is released is what runs."""
    inputs = [CHECKOUT / "pyproject.toml", CHECKOUT / "README.md", *(CHECKOUT / "src").rglob("*")]
    key = f"argosy-{short_hash(path for path in inputs if path.is_file() and path.suffix != '.pyc')}"
    script = b"#!/usr/bin/python3\nfrom argosy.main import cli\n\ncli()\n"
    files = {"usr/local/bin/argosy": File(content=script)}
    with entry("wheels", key) as (final, scratch):
        if scratch is not None:
            pip(["wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={scratch}", str(CHECKOUT)])
    with zipfile.ZipFile(next(final.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            files[f"{SITE}/{name}"] = File(content=wheel.read(name), mode=0o644)
    return oci.layer(key, files)


def layer(name: str, files: dict[str, File]) -> Layer:
    """Return a layer whose key is the hash of what goes into it."""
    recipe = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:10]
    return oci.layer(f"{name}-{recipe}", files)


def base() -> Layer:
    """Return the root file system of every image."""
    user = f'chroot "$1" useradd --uid {USER} --home-dir /home/argocd --no-create-home argocd'
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [*excluded, f"--customize-hook={user}", SUITE]
    key = f"base-{SUITE}-{hashlib.sha256(repr(command).encode()).hexdigest()[:10]}"
    with entry("layers", key) as (final, scratch):
        if scratch is not None:
            say(f"building the root file system of the images (Debian {SUITE}, about a minute)")
            run([*command, str(scratch / "layer.tar")])
            oci.seal(scratch)
    return oci.stored(final)


def short_hash(paths: Iterable[Path]) -> str:
    """Return a short hash of files, their names included."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(CHECKOUT)}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:10]


def pip(args: list[str]) -> None:
    """Run this interpreter's pip, away from the checkout so that no build leaves files in it."""
    with tempfile.TemporaryDirectory() as elsewhere:
        run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *args], cwd=elsewhere)


def run(argv: list[str], cwd: str = "/") -> None:
    """Run a program; RuntimeError with its last words if it fails."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stderr.strip()[-1500:]}")
