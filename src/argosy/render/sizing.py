"""Requests, limits, replicas and processors by size (`sizes.toml`), with the Instance's overrides."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from argosy.api.instance import Resources
from argosy.kube.objects import Obj
from argosy.render.config import PARAMETERS, default
from argosy.render.context import (
    APPLICATION_SETS,
    CONTROLLER,
    REDIS,
    SERVER,
    Objects,
    RenderContext,
    all_containers,
    component_of,
    env_entry,
    main_container,
    set_env,
)

#: How a component is told how many of it there are. The application controller divides clusters by
#: this number: one that differs from the replicas leaves clusters without a controller (argo-cd
#: issues 16145 and 26399). The server divides its limit of concurrent logins by it.
REPLICAS_VARIABLE = {CONTROLLER: "ARGOCD_CONTROLLER_REPLICAS", SERVER: "ARGOCD_API_SERVER_REPLICAS"}
LEADER_ELECTION = {"applicationsetcontroller.enable.leader.election": "true"}

#: Percent of a memory limit from which on Go collects garbage harder rather than be killed
#: (docs/operator-manual/high_availability.md, "Mitigating OOMKilled Events": 80 to 90).
GO_MEMORY_PERCENT = 90

QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?)([a-zA-Z]*)")
SCALES = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}


@cache
def sizes() -> dict[str, Any]:
    """Read the sizes."""
    return tomllib.loads(files(__package__).joinpath("sizes.toml").read_text())


def sizing(context: RenderContext, objects: Objects) -> None:
    """Give every container requests and limits, and every component its replicas and figures."""
    table = sizes()
    size = table[context.instance.spec.size]
    default(objects, size["params"])
    for workload in objects.workloads():
        component, container = component_of(workload), main_container(workload)
        figures = size["components"].get(component, table["beside"])
        override = context.override(workload)
        container["resources"] = resources(figures, override.resources)
        for other in all_containers(workload)[1:]:
            if not other.get("resources"):
                other["resources"] = resources(table["beside"], None)
        for name, value in figures.get("env", {}).items():
            configure(objects, container, name, value)
        if component != REDIS:
            limit_go_memory(container)
        replicas = replicas_of(workload, figures.get("replicas", 1), override.replicas)
        workload["spec"]["replicas"] = replicas
        if component in REPLICAS_VARIABLE:
            set_env(container, REPLICAS_VARIABLE[component], str(replicas))
        if component == APPLICATION_SETS and replicas > 1:
            default(objects, LEADER_ELECTION)


def replicas_of(workload: Obj, figure: int, wanted: int | None) -> int:
    """Return how many pods a workload has: what is asked for, else the size's figure or upstream's.

    Redis is not counted by the Instance: one, or upstream's fixed number when highly available.
    """
    upstream: int = workload["spec"].get("replicas", 1)
    if component_of(workload) == REDIS:
        return upstream
    return wanted or max(upstream, figure)


def resources(figures: dict[str, Any], override: Resources | None) -> Obj:
    """Return a container's resources. No default request exceeds a limit that was asked for, nor
    does a default limit stay below a request that was asked for: the API server would refuse both.
    """  # noqa: D205
    requests, limits = dict(figures["requests"]), dict(figures["limits"])
    if override is not None:
        for name, limit in override.limits.items():
            if name in requests:
                requests[name] = min(requests[name], limit, key=amount)
        for name, request in override.requests.items():
            if name in limits:
                limits[name] = max(limits[name], request, key=amount)
        requests |= override.requests
        limits |= override.limits
    return {"requests": requests, "limits": limits}


def configure(objects: Objects, container: Obj, name: str, value: str) -> None:
    """Set a variable: by the process parameter that the release reads it from, if there is one."""
    entry = env_entry(container, name)
    ref = entry.get("valueFrom", {}).get("configMapKeyRef", {}) if entry else {}
    if ref.get("name") == PARAMETERS:
        default(objects, {ref["key"]: value})
    elif entry is None:
        set_env(container, name, value)


def limit_go_memory(container: Obj) -> None:
    """Tell Go the memory limit, unless the Instance has."""
    limit = container["resources"]["limits"].get("memory")
    if limit and env_entry(container, "GOMEMLIMIT") is None:
        set_env(container, "GOMEMLIMIT", str(int(amount(limit)) * GO_MEMORY_PERCENT // 100))


def amount(quantity: str) -> float:
    """Return a Kubernetes quantity as a number; one that is none counts as zero, the server refuses it."""
    match = QUANTITY.fullmatch(quantity)
    return float(match[1]) * SCALES.get(match[2], 0.0) if match else 0.0
