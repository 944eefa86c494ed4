"""From desired and live to steps in order."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from argosy.kube.objects import Ref, ref_of
from argosy.plan.build import plan
from argosy.plan.model import Action
from argosy.plan.order import wave_of

MANAGER = "argosy"
COMPONENTS = ["redis", "repo-server", "server", "application-controller", "notifications-controller"]


def obj(kind: str, name: str, *, component: str = "", **body: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component} if component else {}
    groups = {
        "Deployment": "apps/v1",
        "StatefulSet": "apps/v1",
        "RoleBinding": "rbac.authorization.k8s.io/v1",
    }
    return {
        "apiVersion": groups.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": "" if kind == "Namespace" else "ns", "labels": labels},
        **body,
    }


objects = st.lists(
    st.builds(
        obj,
        st.sampled_from(["Namespace", "ConfigMap", "Secret", "Deployment", "StatefulSet", "RoleBinding"]),
        st.text("abcdef", min_size=1, max_size=4),
        component=st.sampled_from(COMPONENTS),
    ),
    unique_by=lambda o: (o["kind"], o["metadata"]["name"]),
    max_size=12,
)


def applied(desired: list[dict[str, Any]]) -> dict[Ref, dict[str, Any]]:
    """What an API server holds after these objects were applied."""
    live = copy.deepcopy(desired)
    for item in live:
        item["metadata"]["resourceVersion"] = "1"
        item.setdefault("status", {})["filled"] = "in"
    return {ref_of(item): item for item in live}


@given(objects)
def test_after_a_plan_is_carried_out_the_next_one_is_empty(desired: list[dict[str, Any]]) -> None:
    live = applied(desired)
    assert not plan(desired, live, owned=live, manager=MANAGER)


@given(objects)
def test_on_an_empty_cluster_everything_is_created_in_the_order_of_waves(
    desired: list[dict[str, Any]],
) -> None:
    steps = plan(desired, {}, owned=[], manager=MANAGER).steps
    assert {step.ref for step in steps} == {ref_of(o) for o in desired}
    assert all(step.action is Action.CREATE for step in steps)
    waves = [step.wave for step in steps]
    assert waves == sorted(waves)
    assert all(step.wave == wave_of(step.desired) for step in steps if step.desired)


@given(objects, objects)
def test_what_is_no_longer_desired_is_pruned_and_nothing_else(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    live = applied(before)
    steps = plan(after, live, owned=live, manager=MANAGER).steps
    pruned = {step.ref for step in steps if step.action is Action.PRUNE}
    assert pruned == set(live) - {ref_of(o) for o in after}


@given(objects, objects)
def test_prunes_come_after_everything_else(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    live = applied(before)
    actions = [step.action is Action.PRUNE for step in plan(after, live, owned=live, manager=MANAGER).steps]
    assert actions == sorted(actions)


def test_redis_comes_before_its_clients_and_the_controller_last() -> None:
    names = ["application-controller", "server", "repo-server", "redis"]
    desired = [obj("Deployment", name, component=name) for name in names]
    desired += [obj("ConfigMap", "argocd-cm"), obj("Namespace", "ns")]
    order = [step.ref.name for step in plan(desired, {}, owned=[], manager=MANAGER).steps]
    assert order == ["ns", "argocd-cm", "redis", "repo-server", "server", "application-controller"]


def test_an_immutable_field_leads_to_an_explained_recreation() -> None:
    desired = obj("Deployment", "x", spec={"selector": {"matchLabels": {"app": "new"}}})
    live = obj("Deployment", "x", spec={"selector": {"matchLabels": {"app": "old"}}})
    (step,) = plan([desired], {ref_of(live): live}, owned=[], manager=MANAGER).steps
    assert step.action is Action.RECREATE
    assert step.reason == "spec.selector.matchLabels.app is immutable"
    assert [(c.before, c.after) for c in step.changes] == [("old", "new")]


def test_a_change_names_the_cause_that_was_found() -> None:
    desired, live = obj("ConfigMap", "x", data={"k": "v"}), obj("ConfigMap", "x", data={"k": "w"})
    ref = ref_of(live)
    (step,) = plan([desired], {ref: live}, owned=[], manager=MANAGER, reasons={ref: "drift: kubectl"}).steps
    assert (step.action, step.reason) == (Action.CHANGE, "drift: kubectl")
