"""Where images are pulled from."""

from __future__ import annotations

from argosy.render.components import named
from argosy.render.context import Objects, RenderContext, all_containers, pod_spec


def images(context: RenderContext, objects: Objects) -> None:
    """Put the mirror in place of the images' own registries, and add the pull secrets."""
    mirror = (context.instance.spec.image_registry or context.registry.mirror).rstrip("/")
    pull_secrets = [{"name": name} for name in context.registry.pull_secrets]
    for workload in objects.workloads():
        named(pod_spec(workload), "imagePullSecrets", pull_secrets)
        for container in all_containers(workload) if mirror else ():
            container["image"] = mirrored(container["image"], mirror)


def mirrored(image: str, mirror: str) -> str:
    """Return an image's name in a mirror: the registry's host goes, path and tag stay.

    A first part is a host when it has a dot, a port, or is localhost; a name without any path is one
    of Docker Hub's library (the rules of the reference grammar of the distribution project).
    """
    if image.startswith(f"{mirror}/"):
        return image
    first, slash, rest = image.partition("/")
    if not slash:
        return f"{mirror}/library/{image}"
    is_host = "." in first or ":" in first or first == "localhost"
    return f"{mirror}/{rest if is_host else image}"
