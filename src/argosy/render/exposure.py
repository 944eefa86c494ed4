"""How people reach the server from outside: by an Ingress, or by a Gateway API HTTPRoute."""

from __future__ import annotations

from argosy.api.instance import Gateway, Ingress, Server
from argosy.kube.objects import HTTP_ROUTE, INGRESS, Obj
from argosy.render.context import Objects, RenderContext

SERVICE = "argocd-server"
HTTP, HTTPS = 80, 443


def exposure(context: RenderContext, objects: Objects) -> None:
    """Publish the server under its host."""
    server = context.instance.spec.server
    if server.ingress is not None:
        objects.add(ingress(server, server.ingress))
    if server.gateway is not None:
        objects.add(http_route(server, server.gateway))


def port(server: Server) -> int:
    """Return the Service's port that speaks what the server speaks."""
    return HTTP if server.insecure else HTTPS


def ingress(server: Server, wanted: Ingress) -> Obj:
    """Return an Ingress."""
    backend = {"service": {"name": SERVICE, "port": {"number": port(server)}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Obj = {"rules": [{"host": server.host, "http": {"paths": [path]}}]}
    if wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    if server.tls_secret:
        spec["tls"] = [{"hosts": [server.host], "secretName": server.tls_secret}]
    meta: Obj = {"name": SERVICE}
    if wanted.annotations:
        meta["annotations"] = dict(wanted.annotations)
    return {"apiVersion": INGRESS.api_version, "kind": INGRESS.kind, "metadata": meta, "spec": spec}


def http_route(server: Server, gateway: Gateway) -> Obj:
    """Return an HTTPRoute."""
    parent = {"name": gateway.name, "namespace": gateway.namespace}
    if gateway.section_name:
        parent["sectionName"] = gateway.section_name
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": SERVICE},
        "spec": {
            "parentRefs": [parent],
            "hostnames": [server.host],
            "rules": [{"backendRefs": [{"name": SERVICE, "port": port(server)}]}],
        },
    }
