"""Which Pod Security level the instance's namespace can have.

The rules are those of the Pod Security Standards that bear on containers and volumes
(https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

from __future__ import annotations

from argosy.kube.objects import Obj
from argosy.render.context import Objects, RenderContext, all_containers, pod_spec

ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
RESTRICTED, BASELINE = "restricted", "baseline"

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP_TYPES = ("RuntimeDefault", "Localhost")


def pod_security(context: RenderContext, objects: Objects) -> None:
    """Hold the instance's namespace to the strictest level that all of its pods satisfy."""
    level = RESTRICTED if all(map(is_restricted, objects.workloads())) else BASELINE
    namespace = objects.find("Namespace", context.namespace)
    if namespace is not None:
        namespace["metadata"]["labels"] = {ENFORCE_LABEL: level}


def is_restricted(workload: Obj) -> bool:
    """Tell whether a workload's pods satisfy the level ``restricted``."""
    pod = pod_spec(workload)
    around = pod.get("securityContext", {})
    return all(volume.keys() & VOLUMES for volume in pod.get("volumes", ())) and all(
        container_is_restricted({**around, **container.get("securityContext", {})})
        for container in all_containers(workload)
    )


def container_is_restricted(context: Obj) -> bool:
    """Tell whether a container's security context, over that of its pod, is restricted."""
    return (
        context.get("allowPrivilegeEscalation") is False
        and context.get("capabilities", {}).get("drop") == ["ALL"]
        and context.get("runAsNonRoot") is True
        and context.get("runAsUser") != 0
        and context.get("seccompProfile", {}).get("type") in SECCOMP_TYPES
    )
