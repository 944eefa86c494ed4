"""What an Instance says of its components: which run, where, and with what beside."""

from __future__ import annotations

from argosy.kube.objects import Obj
from argosy.render.context import (
    APPLICATION_SETS,
    DEX,
    NOTIFICATIONS,
    Objects,
    RenderContext,
    main_container,
    pod_spec,
)


def switches(context: RenderContext, objects: Objects) -> None:
    """Leave out the components that nobody needs; Dex without connectors is one of them."""
    spec = context.instance.spec
    if not spec.application_set:
        objects.remove_component(APPLICATION_SETS)
    if not spec.notifications:
        objects.remove_component(NOTIFICATIONS)
    if not spec.config.get("dex.config", "").strip():
        objects.remove_component(DEX)


def overrides(context: RenderContext, objects: Objects) -> None:
    """Add what the Instance says of single components to their pods.

    Pods also get their workload's own upstream labels, which say what they are part of. Labels that
    upstream gives to pods stay what they are: selectors need them.
    """
    for workload in objects.workloads():
        override = context.override(workload)
        container, pod = main_container(workload), pod_spec(workload)
        extend(container, "args", override.args)
        extend(container, "volumeMounts", override.volume_mounts)
        named(container, "env", override.env)
        named(pod, "volumes", override.volumes)
        named(pod, "containers", override.sidecars)
        named(pod, "initContainers", override.init_containers)
        meta = workload["spec"]["template"].setdefault("metadata", {})
        upstream = workload["metadata"].get("labels", {})
        meta["labels"] = {**upstream, **override.labels, **meta.get("labels", {})}
        if override.annotations:
            meta["annotations"] = {**meta.get("annotations", {}), **override.annotations}


def placement(context: RenderContext, objects: Objects) -> None:
    """Have all pods run where the Instance wants them."""
    where = context.instance.spec.placement
    for workload in objects.workloads():
        pod = pod_spec(workload)
        if where.node_selector:
            pod["nodeSelector"] = {**pod.get("nodeSelector", {}), **where.node_selector}
        extend(pod, "tolerations", where.tolerations)


def extend(owner: Obj, key: str, extra: list[Obj] | list[str]) -> None:
    """Append to a list that may not be there."""
    if extra:
        owner[key] = [*owner.get(key, []), *extra]


def named(owner: Obj, key: str, extra: list[Obj]) -> None:
    """Append copies to a list whose items have names; an item of the same name is replaced in its place."""
    if extra:
        found = {item["name"]: item for item in owner.get(key, [])}
        # Later features edit containers: the Instance's own must not change.
        owner[key] = list((found | {item["name"]: dict(item) for item in extra}).values())
