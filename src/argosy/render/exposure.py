"""How people reach the server from outside: by an Ingress, or by a Gateway API HTTPRoute."""

from __future__ import annotations

from argosy.kube.objects import HTTP_ROUTE, INGRESS, Obj
from argosy.render.context import Objects, RenderContext

SERVICE = "argocd-server"
HTTP, HTTPS = 80, 443


def exposure(context: RenderContext, objects: Objects) -> None:
    """Publish the server under its host."""
    server = context.instance.spec.server
    if server.ingress is not None:
        objects.add(ingress(context))
    if server.gateway is not None:
        objects.add(http_route(context))


def port(context: RenderContext) -> int:
    """Return the Service's port that speaks what the server speaks."""
    return HTTP if context.instance.spec.server.insecure else HTTPS


def ingress(context: RenderContext) -> Obj:
    """Return an Ingress."""
    server = context.instance.spec.server
    wanted = server.ingress
    backend = {"service": {"name": SERVICE, "port": {"number": port(context)}}}
    spec: Obj = {
        "rules": [
            {
                "host": server.host,
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }
        ]
    }
    if wanted and wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    if server.tls_secret:
        spec["tls"] = [{"hosts": [server.host], "secretName": server.tls_secret}]
    meta: Obj = {"name": SERVICE}
    if wanted and wanted.annotations:
        meta["annotations"] = dict(wanted.annotations)
    return {"apiVersion": INGRESS.api_version, "kind": INGRESS.kind, "metadata": meta, "spec": spec}


def http_route(context: RenderContext) -> Obj:
    """Return an HTTPRoute."""
    server = context.instance.spec.server
    parent: Obj = {}
    if server.gateway is not None:
        parent = {"name": server.gateway.name, "namespace": server.gateway.namespace}
        if server.gateway.section_name:
            parent["sectionName"] = server.gateway.section_name
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": SERVICE},
        "spec": {
            "parentRefs": [parent],
            "hostnames": [server.host],
            "rules": [{"backendRefs": [{"name": SERVICE, "port": port(context)}]}],
        },
    }
