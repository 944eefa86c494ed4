"""Render an Instance: the upstream manifests, edited by one feature after the other."""

from __future__ import annotations

from collections.abc import Callable

from argosy.api.instance import Instance, Scope
from argosy.kube.objects import Obj
from argosy.render.access import confine, destinations, projects, sources
from argosy.render.components import overrides, placement, switches
from argosy.render.config import configuration
from argosy.render.context import Objects, RenderContext
from argosy.render.exposure import exposure
from argosy.render.images import images
from argosy.render.labels import labels
from argosy.render.network import network
from argosy.render.sizing import sizing
from argosy.render.sla import availability

Feature = Callable[[RenderContext, Objects], None]

#: In this order: what switches components off comes first, what touches every object last.
FEATURES: tuple[Feature, ...] = (
    switches,  # leaves out the components that the Instance does not want
    configuration,  # argocd-cm, argocd-cmd-params-cm, argocd-rbac-cm
    sizing,  # requests, limits, replicas and processors by size
    overrides,  # what the Instance says of single components
    placement,  # node selector and tolerations
    availability,  # priority, disruption budgets, spread over nodes
    destinations,  # where a Namespaced instance may deploy to
    sources,  # further namespaces with Applications
    projects,  # the owner's AppProject, and the neutralised default one
    exposure,  # Ingress or HTTPRoute
    network,  # network policies
    images,  # registry mirror and pull secrets
    confine,  # namespace and names, so that instances on one cluster do not collide
    labels,  # how Argosy finds its objects again
)


def variant_of(instance: Instance) -> str:
    """Return which upstream variant an Instance starts from (see `releases.bundle.VARIANTS`)."""
    scope = "cluster" if instance.spec.scope is Scope.CLUSTER else "namespaced"
    return f"{scope}-ha" if instance.spec.high_availability else scope


def render(context: RenderContext, upstream: list[Obj]) -> list[Obj]:
    """Return all objects of an Instance, in a fixed order.

    ``upstream`` are the objects of the right variant; they are edited in place.
    """
    objects = Objects(upstream)
    for feature in FEATURES:
        feature(context, objects)
    return objects.ordered()
