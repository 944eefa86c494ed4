"""What an Instance says of its components: which run, where, and with what beside."""

from __future__ import annotations

import msgspec

from argosy.kube.objects import Obj
from argosy.render.context import (
    Objects,
    RenderContext,
    component_of,
    main_container,
    pod_spec,
)


def switches(context: RenderContext, objects: Objects) -> None:
    """Leave out the components that nobody needs."""
    spec = context.instance.spec
    if not spec.application_set:
        objects.remove_component("applicationset-controller")
    if not spec.notifications:
        objects.remove_component("notifications-controller")
    if "dex.config" not in spec.config:
        objects.remove_component("dex-server")


def overrides(context: RenderContext, objects: Objects) -> None:
    """Add what the Instance says of single components to their pods."""
    for workload in objects.workloads():
        override = context.override(component_of(workload))
        container, pod = main_container(workload), pod_spec(workload)
        if override.resources is not None:
            given = msgspec.to_builtins(override.resources)
            container["resources"] = {**container["resources"], **given}
        extend(container, "args", override.args)
        extend(container, "volumeMounts", override.volume_mounts)
        named(container, "env", override.env)
        named(pod, "volumes", override.volumes)
        named(pod, "containers", override.sidecars)
        named(pod, "initContainers", override.init_containers)
        meta = workload["spec"]["template"].setdefault("metadata", {})
        for key, extra in (("annotations", override.annotations), ("labels", override.labels)):
            if extra:
                meta[key] = {**extra, **meta.get(key, {})}  # upstream's own stay: selectors need them


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
    """Append to a list whose items have names; an item of the same name is replaced."""
    if extra:
        names = {item.get("name") for item in extra}
        owner[key] = [*(item for item in owner.get(key, []) if item.get("name") not in names), *extra]
