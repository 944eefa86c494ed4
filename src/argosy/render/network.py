"""Who may talk to whom inside an instance: upstream's network policies, or none."""

from __future__ import annotations

from argosy.render.context import Objects, RenderContext


def network(context: RenderContext, objects: Objects) -> None:
    """Keep upstream's policies, which close Redis and the repo server, unless they are not wanted."""
    if not context.instance.spec.network_policies:
        objects.remove_kind("NetworkPolicy")
