"""Requests, limits, replicas and processors by size (`sizes.toml`)."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from argosy.kube.objects import Obj
from argosy.render.config import merge
from argosy.render.context import (
    Objects,
    RenderContext,
    all_containers,
    component_of,
    main_container,
    set_env,
)


@lru_cache
def sizes() -> dict[str, Any]:
    """Read the sizes."""
    return tomllib.loads(files(__package__).joinpath("sizes.toml").read_text())


def sizing(context: RenderContext, objects: Objects) -> None:
    """Give every container requests and limits, and every component its replicas."""
    size = sizes()[context.instance.spec.size]
    merge(objects, "argocd-cmd-params-cm", {**size["params"], **context.instance.spec.params})
    for workload in objects.workloads():
        component = component_of(workload)
        figures = size["components"].get(component, size["components"]["other"])
        for container in all_containers(workload):
            container["resources"] = {
                "requests": dict(figures["requests"]),
                "limits": dict(figures["limits"]),
            }
        override = context.override(component)
        upstream = workload["spec"].get("replicas", 1)
        replicas = override.replicas or max(upstream, figures.get("replicas", 1))
        workload["spec"]["replicas"] = replicas
        if component == "application-controller":
            for name, value in size["controller_env"].items():
                set_env(main_container(workload), name, value)
        tell_replicas(workload, component, replicas)


def tell_replicas(workload: Obj, component: str, replicas: int) -> None:
    """Tell a component how many of it there are, where it must know.

    The application controller shards by this number: one that differs from the replicas leaves
    clusters without a controller (argo-cd issues 16145 and 26399). The server divides its limit of
    concurrent logins by it.
    """
    names = {"application-controller": "ARGOCD_CONTROLLER_REPLICAS", "server": "ARGOCD_API_SERVER_REPLICAS"}
    if component in names:
        set_env(main_container(workload), names[component], str(replicas))
