# ruff: noqa: INP001 - a script, in no package
"""Writes the index of known Argo CD versions, ``src/argosy/releases/index/``, from upstream's Go modules.

    .venv/bin/python tools/release_index.py [VERSION...]

Go's checksum database vouches for every module. Without arguments all versions listed here are written
again. The archive of a version that Go has not cached already (60 MB) is thrown away afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import yaml

from argosy.api.release import KubernetesRange, ManifestFile
from argosy.releases import index, manifests, sources
from argosy.releases.bundle import Obj

#: The last patch of each minor that the checksum database has, and those that build from published modules.
VERSIONS = (
    *("2.11.0", "2.12.13", "2.13.9", "2.14.21"),
    *("3.0.23", "3.1.16", "3.2.6", "3.2.12", "3.3.14", "3.4.2", "3.4.7", "3.5.1", "3.6.1"),
)
#: How many minors upstream supports at a time.
SUPPORTED_MINORS = 3

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "src/argosy/releases/index"
GO = next(go for go in (ROOT / ".venv/bin/go", Path(shutil.which("go") or "go")) if go.exists())

CADENCE = "docs/developer-guide/release-process-and-cadence.md"
TESTED = "docs/operator-manual/tested-kubernetes-versions.md"
TOOLS = "hack/tool-versions.sh"
DOCUMENTED = {
    "argocd-cm": "docs/operator-manual/argocd-cm.yaml",
    "argocd-cmd-params-cm": "docs/operator-manual/argocd-cmd-params-cm.yaml",
}
SETTINGS = "util/settings"


def module_path(version: str) -> str:
    """Return the path of the module that holds a version."""
    return f"github.com/argoproj/argo-cd/v{version.partition('.')[0]}"


def go(*args: str, cache: Path | None = None) -> Any:
    """Run the go command outside of any module and return what it says in JSON."""
    # Settings that would switch the checksum database off are taken away.
    env = {
        k: v for k, v in os.environ.items() if k not in {"GONOSUMDB", "GONOSUMCHECK", "GOPRIVATE", "GOSUMDB"}
    }
    env["GOFLAGS"] = "-modcacherw"
    if cache:
        env["GOMODCACHE"] = str(cache)
    with tempfile.TemporaryDirectory() as nowhere:
        out = subprocess.run([GO, *args], env=env, cwd=nowhere, check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def facts(version: str, schedule: dict[str, date]) -> index.KnownRelease:
    """Return what upstream's module says about its version."""
    at = f"{module_path(version)}@v{version}"
    default = Path(go("env", "-json", "GOMODCACHE")["GOMODCACHE"])
    with tempfile.TemporaryDirectory(prefix="release-index-") as scratch:
        cached = (default / "cache/download" / module_path(version) / f"@v/v{version}.zip").exists()
        module = go("mod", "download", "-json", at, cache=None if cached else Path(scratch))
        released = datetime.fromisoformat(go("list", "-m", "-json", at)["Time"]).astimezone(UTC).date()
        return read(
            Path(module["Dir"]), version, at=at, checksum=module["Sum"], released=released, schedule=schedule
        )


def read(
    tree: Path, version: str, *, at: str, checksum: str, released: date, schedule: dict[str, date]
) -> index.KnownRelease:
    """Return the facts in upstream's source tree."""
    files = sources.read(tree)
    objects = {path: manifests.parse(path, data) for path, data in files.items()}
    bundle = manifests.bundle_of(objects)
    if bundle.version != version:
        raise SystemExit(f"{at} installs {bundle.version}")
    images = manifests.images_of(bundle)
    end, end_source = support_end(index.minor(version), schedule)
    return index.KnownRelease(
        version=version,
        module=at,
        checksum=checksum,
        released=released,
        files=[
            ManifestFile(path=path, sha256=sha256(data).hexdigest()) for path, data in sorted(files.items())
        ],
        content=bundle.digests(),
        images=images,
        kubernetes=kubernetes(tree, version),
        support_end=end,
        tools=tools(tree, images),
        config_keys=config_keys(tree, objects),
        param_keys=exact(
            documented(tree, "argocd-cmd-params-cm") | referenced(objects, "argocd-cmd-params-cm"), []
        ),
        sources={
            "module": f"https://github.com/argoproj/argo-cd/tree/v{version}",
            "checksum": "Go's checksum database",
            "released": "time of the tag",
            "kubernetes": TESTED,
            "support_end": end_source,
            "tools": f"{TOOLS}; dex, redis, haproxy: tags of images",
            "config_keys": f"{DOCUMENTED['argocd-cm']}, {SETTINGS}/*.go, configMapKeyRef in manifests",
            "param_keys": f"{DOCUMENTED['argocd-cmd-params-cm']}, configMapKeyRef in manifests",
        },
    )


def kubernetes(tree: Path, version: str) -> KubernetesRange:
    """Return the Kubernetes minors on which upstream tests a version."""
    row = re.search(
        rf"^\| *{re.escape(index.minor(version))} *\|(.*)\|", (tree / TESTED).read_text(), re.MULTILINE
    )
    if not row:
        raise SystemExit(f"{TESTED} has no row for {index.minor(version)}")
    minors = sorted(re.findall(r"v(\d+\.\d+)", row[1]), key=lambda m: int(m.partition(".")[2]))
    return KubernetesRange(min=minors[0], max=minors[-1])


def tools(tree: Path, images: list[str]) -> dict[str, str]:
    """Return the versions of what is in Argo CD's image and beside it."""
    names = {
        "helm": r"(?:helm\d_version|HELM_VERSION)",
        "kustomize": r"(?:kustomize\d_version|KUSTOMIZE_VERSION)",
    }
    text = (tree / TOOLS).read_text()
    found = {
        tool: match[1]
        for tool, name in names.items()
        if (match := re.search(rf"^{name}=(\S+)", text, re.MULTILINE))
    }
    for image in images:
        path, _, tag = image.partition("@")[0].rpartition(":")
        if (tool := path.rpartition("/")[2]) in {"dex", "redis", "haproxy"}:
            found[tool] = tag.removeprefix("v").partition("-")[0]
    return dict(sorted(found.items()))


def support_end(minor: str, schedule: dict[str, date]) -> tuple[date | None, str]:
    """Return when the third minor after this one comes out, and who says so."""
    minors = sorted(schedule, key=lambda m: index.order(f"{m}.0"))
    later = minors[minors.index(minor) + 1 :]
    if len(later) < SUPPORTED_MINORS:
        return None, f"{CADENCE}: the minor that ends it has no date yet"
    successor = later[SUPPORTED_MINORS - 1]
    return schedule[successor], (
        f"the last {SUPPORTED_MINORS} minors are supported (SECURITY.md); {successor}.0 by {CADENCE} "
        f"of {VERSIONS[-1]}"
    )


def read_schedule() -> dict[str, date]:
    """Return when each minor came or is to come out, as the newest version states it."""
    module = go("mod", "download", "-json", f"{module_path(VERSIONS[-1])}@v{VERSIONS[-1]}")
    text = (Path(module["Dir"]) / CADENCE).read_text()
    rows = re.findall(
        r"^\| v(\d+\.\d+) *\|[^|]*\| *\w+, (\w{3})\w*\.? +(\d+), +(\d{4}) *\|", text, re.MULTILINE
    )
    return {
        m: datetime.strptime(f"{mon} {day} {year} +0000", "%b %d %Y %z").date() for m, mon, day, year in rows
    }


def documented(tree: Path, config_map: str) -> set[str]:
    """Return the keys of upstream's annotated example of a ConfigMap, the commented ones too."""
    text = (tree / DOCUMENTED[config_map]).read_text()
    commented = re.findall(r"^  ?# ?([A-Za-z][\w-]*(?:\.[\w-]+)+):(?: |$)", text, re.MULTILINE)
    return set(yaml.safe_load(text)["data"]) | set(commented)


def referenced(objects: dict[str, list[Obj]], config_map: str) -> set[str]:
    """Return the keys of a ConfigMap that containers take into their environment."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            ref = value.get("configMapKeyRef")
            if isinstance(ref, dict) and ref.get("name") == config_map:
                yield ref["key"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    workloads = [o for found in objects.values() for o in found if o["kind"] in manifests.WORKLOADS]
    return set(walk(workloads))


def config_keys(tree: Path, objects: dict[str, list[Obj]]) -> list[str]:
    """Return the keys of argocd-cm: documented ones, and those that the settings code reads."""
    code = "\n".join(p.read_text() for p in sorted((tree / SETTINGS).glob("*.go")) if "_test" not in p.name)
    constants = dict(re.findall(r'^\s*(\w+)\s*=\s*"([^"]+)"', code, re.MULTILINE))
    # Reads of a Secret have the same form.
    reads = {key for holder, key in re.findall(r"(\w+)(?:\.Data)?\[(\w+)\]", code) if "ecret" not in holder}
    families = set(re.findall(r'(?:Has|Cut|Trim)Prefix\(\w+, (?:fmt\.Sprintf\("%s\.", )?(\w+)', code))
    families |= set(re.findall(r"\w+\.Data\[(\w+) ?\+ ?\"\.\"", code))
    globs = sorted(f"{constants[name]}.*" for name in families if name in constants)
    keys = {constants[name] for name in reads if name in constants}
    keys |= set(re.findall(r'ApplicationSourceType\w+: +"([\w.]+)"', code))
    return exact(keys | documented(tree, "argocd-cm") | referenced(objects, "argocd-cm"), globs)


def exact(keys: set[str], globs: list[str]) -> list[str]:
    """Return keys and globs, without the keys that a glob covers."""
    named = {key for key in keys if re.fullmatch(r"[A-Za-z][\w.-]*", key)}
    return sorted({key for key in named if not any(fnmatchcase(key, glob) for glob in globs)} | set(globs))


def main(versions: Sequence[str]) -> None:
    """Write one file per version."""
    schedule = read_schedule()
    for version in versions:
        known = facts(version, schedule)
        text = msgspec.json.format(msgspec.json.encode(known), indent=1)
        (INDEX / f"{version}.json").write_bytes(text + b"\n")
        print(f"{version}: Kubernetes {known.kubernetes.min} to {known.kubernetes.max}, "
              f"{len(known.config_keys)} + {len(known.param_keys)} keys, {known.tools}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:] or VERSIONS)
