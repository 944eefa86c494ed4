"""Where images are pulled from."""

from __future__ import annotations

from argosy.render.context import Objects, RenderContext, all_containers, pod_spec


def images(context: RenderContext, objects: Objects) -> None:
    """Put the mirror in place of the images' own registries, and add the pull secrets."""
    mirror = (context.instance.spec.image_registry or context.registry.mirror).rstrip("/")
    for workload in objects.workloads():
        if mirror:
            for container in all_containers(workload):
                container["image"] = mirrored(container["image"], mirror)
        if context.registry.pull_secrets:
            pod_spec(workload)["imagePullSecrets"] = [{"name": n} for n in context.registry.pull_secrets]


def mirrored(image: str, mirror: str) -> str:
    """Return an image's name in a mirror: the registry's host goes, path and tag stay.

    A first part is a host when it has a dot, a port, or is localhost (the rule of the Docker CLI).
    """
    first, slash, rest = image.partition("/")
    host = slash and ("." in first or ":" in first or first == "localhost")
    return f"{mirror}/{rest if host else image}"
