"""Upstream's manifest files: from YAML text to a bundle.

Knows what makes a set of files an Argo CD installation. Does not know where the files come from, nor
whether they are genuine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from argosy.api.instance import VERSION_PATTERN
from argosy.releases.bundle import VARIANTS, Bundle, Obj, ReleaseError

#: Workloads without which no variant runs; a file that was cut short lacks the last ones.
REQUIRED = {"argocd-server", "argocd-repo-server", "argocd-application-controller"}
WORKLOADS = {"Deployment", "StatefulSet"}

#: Values in one document. Upstream's largest has 26,000; aliases could make millions out of a few bytes.
MAX_VALUES = 500_000


class _Loader(yaml.CSafeLoader):
    """Reads YAML as Kubernetes does: dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def bundle_of(objects: Mapping[str, list[Obj]]) -> Bundle:
    """Return the bundle that the objects of upstream's files, by their path upstream, make up."""
    variants = {name: objects[path] for name, path in VARIANTS.items() if path in objects}
    crds: dict[str, tuple[str, Obj]] = {}
    for path, found in objects.items():
        for crd in filter(_is_crd, found):
            first, known = crds.setdefault(crd["metadata"]["name"], (path, crd))
            if known != crd:
                raise ReleaseError(
                    f"{path} and {first} disagree on the CRD {crd['metadata']['name']}: "
                    "take all files from one version"
                )
    if not crds:
        raise ReleaseError(
            f"no CRDs in {', '.join(sorted(objects))}: add upstream's manifests/crds, or take install.yaml"
        )
    versions = {version_of(VARIANTS[name], found): VARIANTS[name] for name, found in variants.items()}
    if len(versions) > 1:
        raise ReleaseError(
            "the files are of several versions: "
            + ", ".join(f"{path} of {version}" for version, path in sorted(versions.items()))
        )
    return Bundle.of(
        next(iter(versions)),
        crds=[crd for _, (_, crd) in sorted(crds.items())],
        variants={name: [obj for obj in found if not _is_crd(obj)] for name, found in variants.items()},
    )


def parse(path: str, data: bytes) -> list[Obj]:
    """Return the Kubernetes objects of one file; ReleaseError says where it is wrong."""
    if data.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise ReleaseError(
            f"{path} is a web page, not a manifest: use the address of the raw file, "
            "and check that it needs no login"
        )
    try:
        documents = [doc for doc in yaml.load_all(data, Loader=_Loader) if doc is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ReleaseError(
            f"{path}{where}: not readable as YAML ({problem}): it may be cut short, fetch it again"
        ) from error
    for number, doc in enumerate(documents, start=1):
        _check(f"{path}, document {number}", doc)
    return documents


def version_of(path: str, objects: list[Obj]) -> str:
    """Return the version of an installation by the image of its API server; ReleaseError if it is none."""
    workloads = {o["metadata"]["name"]: o for o in objects if o["kind"] in WORKLOADS}
    missing = REQUIRED - set(workloads)
    if missing:
        raise ReleaseError(
            f"{path} is no complete Argo CD installation: it lacks {', '.join(sorted(missing))}. "
            f"Wanted is one of upstream's {', '.join(VARIANTS.values())}"
        )
    image = next(_images_of(workloads["argocd-server"]), "")
    version = image.partition("@")[0].rpartition(":")[2].removeprefix("v")
    if not re.fullmatch(VERSION_PATTERN, version):
        raise ReleaseError(
            f"{path}: the image of argocd-server, {image!r}, has no version such as v3.6.1 for its tag"
        )
    return version


def images_of(bundle: Bundle) -> list[str]:
    """Return all images that any variant names, sorted."""
    objects = (obj for name in bundle.variants for obj in bundle.objects(name))
    return sorted({image for obj in objects if obj["kind"] in WORKLOADS for image in _images_of(obj)})


def variant_of(path: str, objects: list[Obj]) -> str:
    """Return which variant a file with a name of its own is, by what is in it."""
    version_of(path, objects)
    kinds = {obj["kind"] for obj in objects}
    replicated = any("redis-ha" in o["metadata"]["name"] for o in objects if o["kind"] in WORKLOADS)
    return ("cluster" if "ClusterRole" in kinds else "namespaced") + ("-ha" if replicated else "")


def _images_of(workload: Obj) -> Iterator[str]:
    pod = workload["spec"]["template"]["spec"]
    for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
        yield container["image"]


def _is_crd(obj: Obj) -> bool:
    return bool(obj["kind"] == "CustomResourceDefinition")


def _check(where: str, doc: object) -> None:
    """Refuse what is no Kubernetes object, and what JSON cannot say."""
    if not isinstance(doc, dict) or not {"apiVersion", "kind", "metadata"} <= doc.keys():
        raise ReleaseError(f"{where}: not a Kubernetes object: apiVersion, kind or metadata is missing")
    metadata = doc["metadata"]
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ReleaseError(f"{where}: {doc['kind']} without a name")
    pending: list[object] = [doc]
    seen = 0
    while pending:
        value = pending.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ReleaseError(
                f"{where}: more than {MAX_VALUES} values: no manifest of Argo CD is that large"
            )
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ReleaseError(
                    f"{where}: a key is not text: {next(k for k in value if not isinstance(k, str))!r}"
                )
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif not (value is None or isinstance(value, str | int | float)):
            raise ReleaseError(
                f"{where}: a value of the type {type(value).__name__} has no place in a manifest"
            )
