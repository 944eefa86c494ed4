"""Argo CD's ConfigMaps: settings, process parameters, access rules."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import yaml
from msgspec import UNSET

from argosy.api.instance import Instance, ResourceFilter
from argosy.kube.objects import Obj
from argosy.render.context import Objects, RenderContext

#: A sync without an end blocks its application for ever; upstream's default is no end (2.14 and later).
SYNC_TIMEOUT_SECONDS = "900"


def configuration(context: RenderContext, objects: Objects) -> None:
    """Fill argocd-cm, argocd-cmd-params-cm and argocd-rbac-cm; the Instance's own keys go first."""
    spec = context.instance.spec
    merge(objects, "argocd-cm", {**spec.config, **settings(context.instance)})
    merge(
        objects,
        "argocd-cmd-params-cm",
        {
            "controller.sync.timeout.seconds": SYNC_TIMEOUT_SECONDS,
            **spec.params,
            **parameters(context.instance),
        },
    )
    merge(
        objects,
        "argocd-rbac-cm",
        {
            "policy.default": spec.rbac.default_policy,
            "policy.csv": spec.rbac.policy,
            "scopes": msgspec.json.encode(spec.rbac.scopes).decode(),
        },
    )


def settings(instance: Instance) -> dict[str, str]:
    """Return the keys of argocd-cm that Argosy owns."""
    spec = instance.spec
    found = {
        "application.resourceTrackingMethod": spec.tracking.method.value,
        "installationID": spec.tracking.installation_id or installation_id(instance),
    }
    if spec.server.host:
        found["url"] = f"https://{spec.server.host}"
    if spec.resources.inclusions:
        found["resource.inclusions"] = filters(spec.resources.inclusions)
    if spec.resources.exclusions is not UNSET:
        found["resource.exclusions"] = filters(spec.resources.exclusions)
    return found


def parameters(instance: Instance) -> dict[str, str]:
    """Return the keys of argocd-cmd-params-cm that Argosy owns."""
    spec = instance.spec
    found = {"server.insecure": "true" if spec.server.insecure else "false"}
    if spec.source_namespaces:
        names = ",".join(spec.source_namespaces)
        found |= {"application.namespaces": names, "applicationsetcontroller.namespaces": names}
    return found


def installation_id(instance: Instance) -> str:
    """Return an ID that no other Instance has: it tells the marks of two Argo CDs apart."""
    identity = blake2b(instance.key.encode(), digest_size=4).hexdigest()
    return f"{instance.metadata.name}-{identity}"


def filters(wanted: list[ResourceFilter]) -> str:
    """Return resource filters as the YAML text that Argo CD reads."""
    entries = [{"apiGroups": f.api_groups, "kinds": f.kinds, "clusters": f.clusters} for f in wanted]
    text: str = yaml.dump(entries, Dumper=yaml.CSafeDumper, sort_keys=False)
    return text


def merge(objects: Objects, name: str, data: dict[str, str]) -> None:
    """Add keys to an upstream ConfigMap."""
    config_map: Obj | None = objects.find("ConfigMap", name)
    if config_map is not None:
        config_map["data"] = {**config_map.get("data", {}), **data}
