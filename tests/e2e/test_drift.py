"""Whatever somebody changes or deletes of what Argosy applied is put right, and they are named."""

from typing import Any

import pytest

from tests.e2e.conftest import Stage

HEALED_S = 10.0
KINDS = {
    "Namespace": "namespace",
    "ServiceAccount": "serviceaccount",
    "Role": "role",
    "RoleBinding": "rolebinding",
    "ConfigMap": "configmap",
    "Secret": "secret",
    "Service": "service",
    "NetworkPolicy": "networkpolicy",
    "PodDisruptionBudget": "poddisruptionbudget",
    "Deployment": "deployment",
    "StatefulSet": "statefulset",
    "AppProject": "appproject",
}
DELETABLE = [kind for kind in KINDS if kind not in ("Namespace", "Deployment", "StatefulSet")]


def one(stage: Stage, kind: str, venture: str) -> dict[str, Any]:
    """Return one object of a kind that Argosy applied for a venture."""
    text = ["-l", f"argosy.dev/instance={venture}"]
    namespace = [] if kind == "Namespace" else ["-n", f"argocd-{venture}"]
    names = stage.kubectl("get", KINDS[kind], *namespace, *text, "-o", "name").split()
    found = stage.get(KINDS[kind], names[0].partition("/")[2], f"argocd-{venture}")
    assert found is not None
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_changed_label_is_put_right(stage: Stage, venture: str, kind: str) -> None:
    name = one(stage, kind, venture)["metadata"]["name"]
    namespace = f"argocd-{venture}"
    stage.patch(
        KINDS[kind], name, {"metadata": {"labels": {"argosy.dev/instance-namespace": "stolen"}}}, namespace
    )

    def healed() -> bool:
        found = stage.get(KINDS[kind], name, namespace)
        return bool(found) and found["metadata"]["labels"]["argosy.dev/instance-namespace"] == "fleet"

    stage.wait(f"the label of {kind} {name} is back", healed, HEALED_S)


@pytest.mark.parametrize("kind", DELETABLE)
def test_a_deleted_object_is_created_again(stage: Stage, venture: str, kind: str) -> None:
    before = one(stage, kind, venture)["metadata"]
    stage.kubectl("delete", KINDS[kind], before["name"], "-n", before["namespace"])

    def healed() -> bool:
        found = stage.get(KINDS[kind], before["name"], before["namespace"])
        return bool(found) and found["metadata"]["uid"] != before["uid"]

    stage.wait(f"{kind} {before['name']} is there again", healed, HEALED_S)


def test_the_event_says_who_changed_what(stage: Stage, venture: str) -> None:
    deployment = ("deployment", "argocd-server", "-n", f"argocd-{venture}")
    stage.kubectl("scale", *deployment, "--replicas=2")

    def told() -> bool:
        messages = [event["message"] for event in stage.list("events")]
        return any("kubectl" in text and "changed spec.replicas" in text for text in messages)

    stage.wait("an event names kubectl and spec.replicas", told, HEALED_S)
    stage.wait_ready(venture)


def test_a_deleted_crd_comes_back(stage: Stage, venture: str) -> None:
    stage.wait_ready(venture)
    stage.kubectl("delete", "crd", "appprojects.argoproj.io")
    stage.wait(
        "the neutralised default project is back",
        lambda: (
            stage.kubectl(
                "get", "appproject", "default", "-n", f"argocd-{venture}", "-o", "name", check=False
            )
            == "appproject.argoproj.io/default\n"
        ),
        HEALED_S,
    )
    stage.wait_ready(venture)
