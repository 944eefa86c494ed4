"""How fast one Instance is rendered, against ``kustomize build`` of an overlay that gives the same.

Prints JSON: ``{"render_ms", "kustomize_ms", "ratio"}``; the ratio to reach is 50. Rendering begins with
the stored JSON of the release, kustomize with upstream's YAML; both end with all objects encoded. Both
are measured in turns, and the median is taken.

Usage: python -m tests.bench.bench_render [--version 3.6.1] [--kustomize PATH]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import yaml

from argosy.api.instance import Instance
from argosy.kube.objects import Obj, Ref, ref_of
from argosy.releases import importer, index, sources
from argosy.releases.bundle import VARIANTS, Bundle, unpack
from argosy.render.context import RenderContext
from argosy.render.pipeline import render, variant_of
from devcluster.build import go_binary

ROUNDS = 9
#: One run of kustomize takes as long as hundreds of renderings: so many are timed together.
RENDERINGS = 20

INSTANCE = msgspec.convert(
    {
        "metadata": {"name": "venture-a", "namespace": "fleet"},
        "spec": {"owner": {"team": "venture-a"}, "target": "here", "version": "3.6.1"},
    },
    Instance,
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--version", default=index.all_versions()[-1])
    parser.add_argument("--kustomize", default=kustomize_binary())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        overlay = Path(scratch)
        tree = module(options.version, overlay)
        files = sources.read(tree)
        bundle = unpack(importer.release_of(files, source=str(tree), trust=False))
        write_overlay(overlay, tree / VARIANTS[variant_of(INSTANCE)], bundle)
        built = kustomize(options.kustomize, overlay)
        check_same(yaml.load_all(built, Loader=yaml.CSafeLoader), rendered(bundle))
        renders, builds = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(RENDERINGS):
                msgspec.json.encode(rendered(bundle))
            renders.append((time.perf_counter() - began) / RENDERINGS)
            began = time.perf_counter()
            kustomize(options.kustomize, overlay)
            builds.append(time.perf_counter() - began)
    render_ms, kustomize_ms = (statistics.median(times) * 1000 for times in (renders, builds))
    result = {
        "render_ms": round(render_ms, 2),
        "kustomize_ms": round(kustomize_ms, 1),
        "ratio": round(kustomize_ms / render_ms, 1),
    }
    print(json.dumps(result))


def kustomize_binary() -> str:
    """Return kustomize: the one in PATH, else that of the devcluster."""
    built = sorted(Path.home().glob(".cache/argosy-devcluster/parts/kustomize-*/kustomize"))
    found = shutil.which("kustomize") or (str(built[-1]) if built else "")
    if not found:
        raise SystemExit("no kustomize: put it into PATH, or run 'python -m devcluster build kustomize'")
    return found


def module(version: str, scratch: Path) -> Path:
    """Return upstream's source tree of a version, from the Go module cache."""
    known = index.known(version)
    if known is None:
        raise SystemExit(f"{version} is not one of {', '.join(index.all_versions())}")
    command = [go_binary(), "mod", "download", "-json", known.module]
    answer = subprocess.run(command, check=True, capture_output=True, cwd=scratch).stdout
    return Path(json.loads(answer)["Dir"])


def rendered(bundle: Bundle) -> list[Obj]:
    """Render the Instance anew, from the stored form of its release."""
    return render(RenderContext(instance=INSTANCE), bundle.objects(variant_of(INSTANCE)))


def kustomize(binary: str, overlay: Path) -> bytes:
    """Build the overlay."""
    return subprocess.run([binary, "build", str(overlay)], check=True, capture_output=True).stdout


def write_overlay(folder: Path, base: Path, bundle: Bundle) -> None:
    """Write an overlay over upstream's file that makes of it what rendering makes.

    A strategic merge patch for each object that differs, a deletion for each that is left out, and the
    further objects as resources; namespace and labels by kustomize's own transformers.
    """
    shutil.copy(base, folder / "base.yaml")
    upstream = {name(ref_of(obj)): obj for obj in bundle.objects(variant_of(INSTANCE))}
    wanted = {name(ref_of(obj)): obj for obj in rendered(bundle)}
    patches = [wanted[key] for key in upstream if key in wanted]
    patches = [{**obj, "metadata": {**obj["metadata"]}} for obj in patches]
    for patch in patches:
        patch["metadata"].pop("namespace", None)
    for key in upstream.keys() - wanted.keys():
        obj = upstream[key]
        identity = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        patches.append({**identity, "metadata": {"name": obj["metadata"]["name"]}, "$patch": "delete"})
    write(folder / "patches.yaml", patches)
    write(folder / "more.yaml", [wanted[key] for key in wanted.keys() - upstream.keys()])
    # The namespace transformer would move the further objects too, so it has a layer of its own.
    (folder / "home").mkdir()
    for file in ("base.yaml", "patches.yaml"):
        shutil.move(folder / file, folder / "home" / file)
    home = {
        "namespace": INSTANCE.namespace,
        "resources": ["base.yaml"],
        "patches": [{"path": "patches.yaml"}],
    }
    write(folder / "home/kustomization.yaml", [home])
    write(folder / "kustomization.yaml", [{"resources": ["home", "more.yaml"]}])


def name(ref: Ref) -> tuple[str, str, str]:
    """Return what an object is called within its namespace; elsewhere, with the namespace too."""
    return ref.kind, ref.name, "" if ref.namespace == INSTANCE.namespace else ref.namespace


def write(file: Path, documents: list[Obj]) -> None:
    """Write YAML."""
    file.write_text(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))


def check_same(built: object, objects: list[Obj]) -> None:
    """Stop unless kustomize built the same objects: else the comparison would mean nothing."""
    theirs = {ref_of(obj) for obj in built if obj}  # type: ignore[attr-defined]
    ours = {ref_of(obj) for obj in objects}
    if theirs != ours:
        raise SystemExit(f"kustomize built other objects: {sorted(map(str, theirs ^ ours))}")


if __name__ == "__main__":
    main()
