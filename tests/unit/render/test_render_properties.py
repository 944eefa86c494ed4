"""What holds for every Instance, on real manifests of several versions."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from argosy.api.instance import Instance
from argosy.api.meta import (
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    INSTANCE_NAMESPACE_LABEL,
    MANAGED_BY_LABEL,
)
from argosy.api.target import Registry
from argosy.kube.objects import Obj, Ref, ref_of
from argosy.releases.bundle import Bundle
from argosy.render.context import RenderContext, all_containers, is_namespaced
from argosy.render.pipeline import render, variant_of
from argosy.render.sizing import amount
from tests.unit.render.strategies import INSTANCES, instance

# The bundles do not change between examples: they hand out fresh objects.
any_instance = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: What pods may name although nobody renders it: Argo CD or a user makes it when it is wanted.
MADE_LATER = {"argocd-redis"}
#: Objects that several instances may name: nobody's own.
SHARED = {"Namespace"}


def rendered(bundle: Bundle, wanted: Instance, *, pull_secrets: tuple[str, ...] = ()) -> list[Obj]:
    context = RenderContext(instance=wanted, registry=Registry(pull_secrets=list(pull_secrets)))
    return render(context, bundle.objects(variant_of(wanted)))


def workloads(objects: list[Obj]) -> list[Obj]:
    return [obj for obj in objects if obj["kind"] in ("Deployment", "StatefulSet")]


@any_instance
@given(wanted=INSTANCES)
def test_rendering_twice_gives_the_same_bytes(bundle: Bundle, wanted: Instance) -> None:
    before = copy.deepcopy(wanted)
    first, second = rendered(bundle, wanted), rendered(bundle, wanted)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert wanted == before


@any_instance
@given(wanted=INSTANCES)
def test_every_object_has_an_identity_of_its_own_and_no_crd_is_among_them(
    bundle: Bundle, wanted: Instance
) -> None:
    refs = [ref_of(obj) for obj in rendered(bundle, wanted)]
    assert len(set(refs)) == len(refs)
    assert "CustomResourceDefinition" not in {ref.kind for ref in refs}


@any_instance
@given(wanted=INSTANCES)
def test_every_object_carries_the_labels_by_which_it_is_found_again(bundle: Bundle, wanted: Instance) -> None:
    mine = {
        MANAGED_BY_LABEL: "argosy",
        INSTANCE_LABEL: wanted.metadata.name,
        INSTANCE_NAMESPACE_LABEL: wanted.metadata.namespace,
    }
    for obj in rendered(bundle, wanted):
        assert mine.items() <= obj["metadata"]["labels"].items()


@any_instance
@given(wanted=INSTANCES)
def test_two_instances_on_one_cluster_never_meet_in_an_object(bundle: Bundle, wanted: Instance) -> None:
    other = msgspec.structs.replace(
        wanted, metadata=msgspec.structs.replace(wanted.metadata, name=f"{wanted.metadata.name}-2")
    )
    common = identities(bundle, wanted) & identities(bundle, other)
    assert {ref.kind for ref in common} <= SHARED
    assert {ref.name for ref in common} <= {
        *wanted.destination_namespaces,
        *wanted.spec.source_namespaces,
    }


def identities(bundle: Bundle, wanted: Instance) -> set[Ref]:
    return {ref_of(obj) for obj in rendered(bundle, wanted)}


@any_instance
@given(wanted=INSTANCES)
def test_what_is_cluster_scoped_is_named_after_the_instances_namespace(
    bundle: Bundle, wanted: Instance
) -> None:
    for obj in rendered(bundle, wanted):
        if is_namespaced(obj):
            assert obj["metadata"]["namespace"]
        elif obj["kind"] != "Namespace":
            assert obj["metadata"]["name"].endswith(f"-{wanted.namespace}")


@any_instance
@given(wanted=INSTANCES)
def test_every_reference_leads_somewhere(bundle: Bundle, wanted: Instance) -> None:
    objects = rendered(bundle, wanted)
    there = {ref_of(obj)[1:] for obj in objects}
    services = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Service"}
    for obj in objects:
        namespace = obj["metadata"].get("namespace", "")
        if "roleRef" in obj:
            role = obj["roleRef"]
            home = namespace if role["kind"] == "Role" else ""
            assert (role["kind"], home, role["name"]) in there
            for subject in obj["subjects"]:
                assert (subject["kind"], subject["namespace"], subject["name"]) in there
        if namespace:
            assert ("Namespace", "", namespace) in there
    for workload in workloads(objects):
        for kind, name in named_by(workload):
            assert (kind, wanted.namespace, name) in there or name in MADE_LATER
    settings_read = next(obj for obj in objects if obj["metadata"]["name"] == "argocd-cmd-params-cm")
    for key in ("redis.server", "repo.server"):
        if key in settings_read["data"]:
            assert settings_read["data"][key].partition(":")[0] in services


def named_by(workload: Obj) -> Iterator[tuple[str, str]]:
    """Yield what a pod cannot start without."""
    pod = workload["spec"]["template"]["spec"]
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"]
    for volume in pod.get("volumes", ()):
        for key, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if key in volume and not volume[key].get("optional"):
                yield kind, volume[key][name]
    for container in all_containers(workload):
        for entry in container.get("env", ()):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                ref = entry.get("valueFrom", {}).get(key)
                if ref and not ref.get("optional"):
                    yield kind, ref["name"]


@any_instance
@given(wanted=INSTANCES)
def test_every_container_has_requests_and_limits_that_the_api_server_accepts(
    bundle: Bundle, wanted: Instance
) -> None:
    for workload in workloads(rendered(bundle, wanted)):
        main, *others = all_containers(workload)
        for container in (main, *others):
            assert container["resources"]
        requests, limits = main["resources"]["requests"], main["resources"]["limits"]
        asked = RenderContext(instance=wanted).override(workload).resources
        assert {"cpu", "memory"} <= set(requests)
        assert "memory" in limits
        for name in set(requests) & set(limits):
            own = asked is not None and name in asked.requests and name in asked.limits
            assert own or amount(requests[name]) <= amount(limits[name])


@any_instance
@given(wanted=INSTANCES)
def test_selectors_stay_upstreams_and_select_the_pods(bundle: Bundle, wanted: Instance) -> None:
    upstream = {ref_of(obj)[1::2]: obj for obj in bundle.objects(variant_of(wanted))}
    for workload in workloads(rendered(bundle, wanted)):
        spec = workload["spec"]
        assert (
            spec["selector"] == upstream[workload["kind"], workload["metadata"]["name"]]["spec"]["selector"]
        )
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
        assert workload["metadata"]["labels"][COMPONENT_LABEL]


@any_instance
@given(wanted=INSTANCES)
def test_replicas_and_what_the_components_are_told_of_them_agree(bundle: Bundle, wanted: Instance) -> None:
    told = {"argocd-application-controller": "ARGOCD_CONTROLLER_REPLICAS"}
    told["argocd-server"] = "ARGOCD_API_SERVER_REPLICAS"
    by_name = {obj["metadata"]["name"]: obj for obj in workloads(rendered(bundle, wanted))}
    for name, variable in told.items():
        env = by_name[name]["spec"]["template"]["spec"]["containers"][0]["env"]
        assert [e["value"] for e in env if e["name"] == variable] == [str(by_name[name]["spec"]["replicas"])]


@any_instance
@given(wanted=INSTANCES)
def test_every_workload_is_protected_against_neighbours_and_drains(bundle: Bundle, wanted: Instance) -> None:
    objects = rendered(bundle, wanted)
    budgets = [obj["spec"] for obj in objects if obj["kind"] == "PodDisruptionBudget"]
    for workload in workloads(objects):
        mine = [b for b in budgets if b["selector"] == workload["spec"]["selector"]]
        assert [b["maxUnavailable"] for b in mine] == [1]
        pod = workload["spec"]["template"]["spec"]
        assert pod["priorityClassName"] == "argosy-instance"
        assert (workload["spec"]["replicas"] > 1) == bool(pod.get("topologySpreadConstraints"))


@any_instance
@given(wanted=INSTANCES)
def test_no_secret_is_applied_with_content_but_the_in_cluster_one(bundle: Bundle, wanted: Instance) -> None:
    full: dict[str, Any] = {
        obj["metadata"]["name"]: obj
        for obj in rendered(bundle, wanted)
        if obj["kind"] == "Secret" and obj.keys() & {"data", "stringData"}
    }
    assert set(full) <= {"argocd-cluster-in-cluster"}


@any_instance
@given(wanted=INSTANCES)
def test_redis_and_the_repo_server_are_closed_to_other_namespaces(bundle: Bundle, wanted: Instance) -> None:
    objects = rendered(bundle, wanted)
    policies = [obj["spec"] for obj in objects if obj["kind"] == "NetworkPolicy"]
    if not wanted.spec.network_policies:
        assert not policies
        return
    metrics = {8084, 9101, 9121}
    for workload in workloads(objects):
        if workload["metadata"]["labels"][COMPONENT_LABEL] not in ("redis", "repo-server"):
            continue
        mine = [p for p in policies if p["podSelector"] == workload["spec"]["selector"]]
        assert mine
        for rule in (rule for policy in mine for rule in policy["ingress"]):
            open_to_all = not rule.get("from") or any("namespaceSelector" in peer for peer in rule["from"])
            assert not open_to_all or {port["port"] for port in rule["ports"]} <= metrics


@pytest.mark.parametrize("highly_available", [False, True])
@pytest.mark.parametrize("scope", ["Cluster", "Namespaced"])
def test_upstreams_pods_satisfy_the_restricted_pod_security_level(
    bundle: Bundle, scope: str, highly_available
) -> None:
    wanted = instance(scope=scope, highAvailability=highly_available)
    assert own_namespace(rendered(bundle, wanted))["pod-security.kubernetes.io/enforce"] == "restricted"


def own_namespace(objects: list[Obj]) -> dict[str, str]:
    labels: dict[str, str] = next(
        obj["metadata"]["labels"]
        for obj in objects
        if ref_of(obj) == Ref("", "Namespace", "", "argocd-venture-a")
    )
    return labels
