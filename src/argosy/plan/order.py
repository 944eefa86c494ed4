"""In which order objects are applied: waves, each of which is healthy before the next begins.

The order is that of Argo CD's own dependencies: what is read before what reads it, Redis before
its clients, and the application controller last, so that it meets a complete installation.
"""

from __future__ import annotations

from argosy.api.meta import COMPONENT_LABEL
from argosy.kube.objects import Obj

NAMESPACES, CONFIGURATION, CACHE, REPOSITORIES, SERVERS, CONTROLLER, PRUNES = range(7)
WAVE_NAMES = {
    NAMESPACES: "namespaces",
    CONFIGURATION: "access, configuration and services",
    CACHE: "Redis",
    REPOSITORIES: "repo server",
    SERVERS: "servers and generators",
    CONTROLLER: "application controller",
    PRUNES: "what is no longer desired",
}
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
#: By the value of upstream's app.kubernetes.io/component label; a workload not named here is a server.
COMPONENT_WAVES = {
    "redis": CACHE,
    "redis-ha-haproxy": CACHE,
    "redis-ha": CACHE,
    "repo-server": REPOSITORIES,
    "application-controller": CONTROLLER,
}


def wave_of(obj: Obj) -> int:
    """Return the wave in which an object is applied."""
    kind = obj["kind"]
    if kind == "Namespace":
        return NAMESPACES
    if kind not in WORKLOADS:
        return CONFIGURATION
    component = obj["metadata"].get("labels", {}).get(COMPONENT_LABEL, "")
    return COMPONENT_WAVES.get(component, CACHE if component.startswith("redis") else SERVERS)
