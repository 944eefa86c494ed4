"""Instances as people could write them, for property tests of render and plan."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from argosy.api.instance import Instance

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
#: None of them is one of `NAMES`, so that an instance's own namespace is nobody's destination.
FREE_NAMESPACES = st.sampled_from(["1-blue", "2-green", "3-red", "4-black"])

QUANTITIES = st.sampled_from(["10m", "100m", "1", "64Mi", "2Gi", "512M"])
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "requests": st.dictionaries(st.sampled_from(["cpu", "memory"]), QUANTITIES),
        "limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), QUANTITIES),
    },
)
SIDECARS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["plugin-a", "plugin-b"]), "image": st.just("registry.test/plugin:1")},
        optional={"resources": RESOURCES},
    ),
    max_size=2,
    unique_by=lambda c: c["name"],
)
COMPONENT = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 5),
        "resources": RESOURCES,
        "env": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["HTTP_PROXY", "A"]), "value": st.just("x")}),
            max_size=2,
            unique_by=lambda e: e["name"],
        ),
        "args": st.lists(st.sampled_from(["--verbose", "--color"]), max_size=2),
        "volumes": st.just([{"name": "extra", "emptyDir": {}}]),
        "volumeMounts": st.just([{"name": "extra", "mountPath": "/extra"}]),
        "sidecars": SIDECARS,
        "initContainers": SIDECARS,
        "annotations": st.dictionaries(NAMES, st.just("x"), max_size=1),
        "labels": st.dictionaries(st.sampled_from(["app.kubernetes.io/name", "team"]), NAMES, max_size=2),
    },
)
COMPONENT_NAMES = ("controller", "server", "repoServer", "applicationSet", "notifications", "redis")
FILTERS = st.just([{"apiGroups": ["*"], "kinds": ["Event"]}])

SPECS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "owner": st.fixed_dictionaries({"team": NAMES}),
        "target": st.just("here"),
        "version": st.just("3.6.1"),
    },
    optional={
        "scope": st.just("Cluster"),
        "destinationNamespaces": st.lists(FREE_NAMESPACES, max_size=3, unique=True),
        "sourceNamespaces": st.lists(FREE_NAMESPACES, max_size=2, unique=True),
        "size": st.sampled_from("SML"),
        "highAvailability": st.booleans(),
        "components": st.fixed_dictionaries({}, optional=dict.fromkeys(COMPONENT_NAMES, COMPONENT)),
        "server": st.sampled_from(
            [
                {"host": "argocd.test"},
                {"host": "argocd.test", "ingress": {}, "tlsSecret": "cert"},
                {"host": "argocd.test", "insecure": True, "gateway": {"name": "g", "namespace": "n"}},
            ]
        ),
        "rbac": st.just({"defaultPolicy": "role:readonly", "policy": "g, a, role:admin"}),
        "config": st.sampled_from([{"exec.enabled": "true"}, {"dex.config": "connectors: []"}]),
        "params": st.just({"controller.status.processors": "33"}),
        "resources": st.fixed_dictionaries({}, optional={"inclusions": FILTERS, "exclusions": FILTERS}),
        "placement": st.just({"nodeSelector": {"pool": "infra"}, "tolerations": [{"operator": "Exists"}]}),
        "applicationSet": st.booleans(),
        "notifications": st.booleans(),
        "networkPolicies": st.booleans(),
        "imageRegistry": st.just("mirror.test/proxy"),
    },
)


def instance(name: str = "venture-a", *, source: str = "fleet", **spec: Any) -> Instance:
    """Return an Instance; what is not given is as in the five lines that everybody starts with."""
    smallest = {"owner": {"team": name}, "target": "here", "version": "3.6.1"}
    written = {"metadata": {"name": name, "namespace": source}, "spec": {**smallest, **spec}}
    return msgspec.convert(written, Instance)


def possible(spec: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the API server would refuse beside the rest."""
    if spec.get("scope") == "Cluster":
        spec.pop("destinationNamespaces", None)
    return spec


INSTANCES = st.builds(lambda name, spec: instance(name, **possible(spec)), name=NAMES, spec=SPECS)
