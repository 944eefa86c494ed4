"""What counts as a difference between desired and live."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.plan.diff import diff, same_quantity

MANAGER = "argosy"


def deployment(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": "n"},
        "spec": spec,
    }


def paths(desired: dict[str, Any], live: dict[str, Any]) -> list[str]:
    return [change.path for change in diff(desired, live, manager=MANAGER)]


def test_what_the_server_fills_in_is_no_difference() -> None:
    desired = deployment(template={"spec": {"containers": [{"name": "a", "image": "i"}]}})
    live = copy.deepcopy(desired)
    live["spec"]["replicas"] = 1
    live["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
    live["status"] = {"replicas": 1}
    live["metadata"]["resourceVersion"] = "7"
    assert paths(desired, live) == []


def test_a_changed_field_is_named_by_its_path() -> None:
    desired = deployment(template={"spec": {"containers": [{"name": "a", "image": "new"}]}})
    live = deployment(template={"spec": {"containers": [{"name": "a", "image": "old"}]}})
    (change,) = diff(desired, live, manager=MANAGER)
    assert (change.path, change.before, change.after) == (
        "spec.template.spec.containers[a].image",
        "old",
        "new",
    )


def test_a_sidecar_that_somebody_injected_is_no_difference() -> None:
    desired = deployment(template={"spec": {"containers": [{"name": "a"}]}})
    live = deployment(template={"spec": {"containers": [{"name": "mesh"}, {"name": "a"}]}})
    assert paths(desired, live) == []


def test_a_list_without_keys_is_one_value() -> None:
    assert paths(deployment(args=["a"]), deployment(args=["a", "b"])) == ["spec.args"]
    assert paths(deployment(rules=[{"a": 1}]), deployment(rules=[{"a": 1, "default": 2}])) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("500m", "0.5"), ("1Gi", "1024Mi"), ("1k", "1000"), ("2e3", "2k"), (1, "1"), ("1E", "1000P")],
)
def test_quantities_are_compared_as_amounts(one: Any, other: Any) -> None:
    assert same_quantity(one, other)
    assert paths(deployment(limits={"cpu": one}), deployment(limits={"cpu": other})) == []


def test_different_amounts_differ() -> None:
    assert paths(deployment(limits={"cpu": "1"}), deployment(limits={"cpu": "2"})) == ["spec.limits.cpu"]


def test_a_port_without_protocol_is_the_tcp_port() -> None:
    desired = deployment(ports=[{"port": 80, "name": "web"}])
    assert paths(desired, deployment(ports=[{"port": 80, "name": "web", "protocol": "TCP"}])) == []


def owned(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}]


def test_a_field_that_argosy_applied_and_no_longer_wants_is_a_difference() -> None:
    live = deployment(paused=True, replicas=1)
    live["metadata"]["managedFields"] = owned({"f:spec": {"f:paused": {}, "f:replicas": {}}})
    (change,) = diff(deployment(replicas=1), live, manager=MANAGER)
    assert (change.path, change.before, change.after) == ("spec.paused", True, None)


def test_an_item_that_argosy_applied_and_no_longer_wants_is_a_difference() -> None:
    live = deployment(containers=[{"name": "a"}, {"name": "b"}])
    keys = {'k:{"name":"a"}': {".": {}, "f:name": {}}, 'k:{"name":"b"}': {".": {}, "f:name": {}}}
    live["metadata"]["managedFields"] = owned({"f:spec": {"f:containers": keys}})
    assert paths(deployment(containers=[{"name": "a"}]), live) == ["spec.containers[b]"]


def test_what_others_own_is_theirs_to_keep() -> None:
    live = deployment(paused=True)
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    ]
    assert paths(deployment(), live) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, max_size=4))
def test_an_object_never_differs_from_itself(spec: dict[str, Any]) -> None:
    obj = deployment(inner=spec)
    assert paths(obj, copy.deepcopy(obj)) == []
