"""Argo CD's ConfigMaps: settings, process parameters, access rules.

Upstream's keys stay, then come Argosy's defaults, the Instance's keys, and last the keys that Argosy
owns (`reserved.toml`); `checks` has refused an Instance that sets those itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec
import yaml
from msgspec import UNSET

from argosy.api.instance import Instance, ResourceFilter, Scope
from argosy.api.meta import GROUP
from argosy.kube.objects import Obj
from argosy.render.context import Objects, RenderContext, all_containers

SETTINGS, PARAMETERS, ACCESS_RULES = "argocd-cm", "argocd-cmd-params-cm", "argocd-rbac-cm"

#: A sync without an end blocks its application for ever, and no end is upstream's default
#: (docs/operator-manual/argocd-cmd-params-cm.yaml, since 2.14; releases before ignore the key).
SYNC_TIMEOUT = {"controller.sync.timeout.seconds": "900"}
#: With source namespaces the ApplicationSet controller does not start unless SCM providers are
#: restricted: their token references could read any Secret (docs: Appset-Any-Namespace).
NO_SCM_PROVIDERS = {"applicationsetcontroller.enable.scm.providers": "false"}
ALLOWED_SCM_PROVIDERS = "applicationsetcontroller.allowed.scm.providers"

#: On pods: a hash of what they read from ConfigMaps when they start, and never again.
SETTINGS_ANNOTATION = f"{GROUP}/settings"

INSTALLATION_ID_LENGTH = 63


def configuration(context: RenderContext, objects: Objects) -> None:
    """Fill argocd-cm, argocd-cmd-params-cm and argocd-rbac-cm."""
    spec = context.instance.spec
    merge(objects, SETTINGS, spec.config | owned_settings(context.instance))
    owned = owned_parameters(context.instance)
    merge(objects, PARAMETERS, SYNC_TIMEOUT | spec.params | owned)
    if "applicationsetcontroller.namespaces" in owned and ALLOWED_SCM_PROVIDERS not in spec.params:
        default(objects, NO_SCM_PROVIDERS)
    rules = {
        "policy.default": spec.rbac.default_policy,
        "policy.csv": spec.rbac.policy,
        "scopes": msgspec.json.encode(spec.rbac.scopes).decode(),
    }
    merge(objects, ACCESS_RULES, rules)


def restarts(_context: RenderContext, objects: Objects) -> None:
    """Have pods start anew when a key changes that they read only at their start."""
    data = {cm["metadata"]["name"]: cm.get("data", {}) for cm in objects.of_kind("ConfigMap")}
    for workload in objects.workloads():
        read = {f"{name}/{key}": data.get(name, {}).get(key) for name, key in keys_read(workload)}
        values = {key: value for key, value in read.items() if value is not None}
        if values:
            meta = workload["spec"]["template"].setdefault("metadata", {})
            digest = blake2b(msgspec.json.encode(values, order="deterministic"), digest_size=8).hexdigest()
            meta["annotations"] = {**meta.get("annotations", {}), SETTINGS_ANNOTATION: digest}


def keys_read(workload: Obj) -> Iterator[tuple[str, str]]:
    """Yield the ConfigMap keys that a workload's environment is made from."""
    for container in all_containers(workload):
        for entry in container.get("env", ()):
            ref = entry.get("valueFrom", {}).get("configMapKeyRef")
            if ref:
                yield ref["name"], ref["key"]


def owned_settings(instance: Instance) -> dict[str, str]:
    """Return the keys of argocd-cm that Argosy owns."""
    spec = instance.spec
    found = {
        "application.resourceTrackingMethod": spec.tracking.method.value,
        "installationID": spec.tracking.installation_id or installation_id(instance),
    }
    if spec.scope is Scope.NAMESPACED and not instance.destination_namespaces:
        found["cluster.inClusterEnabled"] = "false"
    if spec.server.host:
        found["url"] = f"https://{spec.server.host}"
    if spec.resources.inclusions:
        found["resource.inclusions"] = filters(spec.resources.inclusions)
    if spec.resources.exclusions is not UNSET:
        found["resource.exclusions"] = filters(spec.resources.exclusions)
    return found


def owned_parameters(instance: Instance) -> dict[str, str]:
    """Return the keys of argocd-cmd-params-cm that Argosy owns."""
    spec = instance.spec
    found = {"server.insecure": "true" if spec.server.insecure else "false"}
    if spec.source_namespaces:
        names = ",".join(spec.source_namespaces)
        found["application.namespaces"] = names
        if spec.scope is Scope.CLUSTER:  # `access.sources` says why not otherwise
            found["applicationsetcontroller.namespaces"] = names
    return found


def installation_id(instance: Instance) -> str:
    """Return an ID that no other Instance has: it tells the marks of two Argo CDs apart."""
    identity = blake2b(instance.key.encode(), digest_size=4).hexdigest()
    return f"{instance.metadata.name[: INSTALLATION_ID_LENGTH - len(identity) - 1]}-{identity}"


def filters(wanted: list[ResourceFilter]) -> str:
    """Return resource filters as the YAML text that Argo CD reads."""
    entries = [{"apiGroups": f.api_groups, "kinds": f.kinds, "clusters": f.clusters} for f in wanted]
    text: str = yaml.dump(entries, Dumper=yaml.CSafeDumper, sort_keys=False)
    return text


def merge(objects: Objects, name: str, data: dict[str, str]) -> None:
    """Set keys of an upstream ConfigMap."""
    config_map = objects.find("ConfigMap", name)
    if config_map is not None:
        config_map["data"] = config_map.get("data", {}) | data


def default(objects: Objects, params: dict[str, str]) -> None:
    """Set process parameters that nobody has set."""
    config_map = objects.find("ConfigMap", PARAMETERS)
    if config_map is not None:
        config_map["data"] = params | config_map.get("data", {})
