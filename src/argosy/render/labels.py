"""Labels by which Argosy finds its objects again. They never enter a selector or a pod."""

from __future__ import annotations

from argosy.api.meta import FIELD_MANAGER, INSTANCE_LABEL, INSTANCE_NAMESPACE_LABEL, MANAGED_BY_LABEL
from argosy.render.context import Objects, RenderContext


def labels(context: RenderContext, objects: Objects) -> None:
    """Label every object with the Instance that it is for."""
    meta = context.instance.metadata
    mine = {
        MANAGED_BY_LABEL: FIELD_MANAGER,
        INSTANCE_LABEL: meta.name,
        INSTANCE_NAMESPACE_LABEL: meta.namespace,
    }
    for obj in objects:
        obj["metadata"]["labels"] = {**obj["metadata"].get("labels", {}), **mine}
