"""Five lines of YAML, and a venture has an Argo CD of its own that deploys from Git."""

import base64
import json
import os
import subprocess
import time

from devcluster.build import build_all
from tests.e2e.conftest import VERSION, Stage, deploy_web, instance


def test_five_lines_become_an_argo_cd_that_deploys_from_git(
    stage: Stage, venture: str, repository: str
) -> None:
    deploy_web(stage, repository, venture)
    status = (stage.get("instances.argosy.dev", venture) or {})["status"]
    assert status["version"] == VERSION
    assert status["namespace"] == f"argocd-{venture}"
    assert all(component["ready"] == component["desired"] for component in status["components"])


def test_the_argocd_cli_works_as_it_is(stage: Stage, venture: str) -> None:
    argocd = build_all([f"argocd-{VERSION}"])[f"argocd-{VERSION}"] / "argocd"
    secret = stage.get("secret", "argocd-initial-admin-secret", f"argocd-{venture}")
    assert secret is not None
    password = base64.b64decode(secret["data"]["password"]).decode()
    forward = [
        stage.kubectl_binary,
        f"--kubeconfig={stage.cluster.kubeconfig}",
        "port-forward",
        f"--namespace=argocd-{venture}",
        "service/argocd-server",
        "28443:443",
    ]
    environment = {**os.environ, "HOME": str(stage.folder)}
    with subprocess.Popen(forward, stdout=subprocess.PIPE) as forwarding:
        assert forwarding.stdout
        forwarding.stdout.readline()
        login = [argocd, "login", "localhost:28443", "--insecure", "--username=admin"]
        subprocess.run([*login, f"--password={password}"], env=environment, check=True, capture_output=True)
        shown = subprocess.run(
            [argocd, "version", "-o", "json"], env=environment, check=True, capture_output=True
        ).stdout
        forwarding.terminate()
    assert json.loads(shown)["server"]["Version"].startswith(f"v{VERSION}")


def test_a_second_instance_on_the_same_cluster_does_not_collide(stage: Stage, venture: str) -> None:
    stage.apply(instance("venture-b", scope="Cluster", applicationSet=False, notifications=False))
    stage.wait_ready("venture-b")
    stage.wait_ready(venture)
    kinds = "clusterrole,clusterrolebinding"
    names = stage.kubectl("get", kinds, "-l", "argosy.dev/instance=venture-b", "-o", "name").split()
    assert names
    assert all(name.endswith("-argocd-venture-b") for name in names)
    ids = {
        (stage.get("configmap", "argocd-cm", f"argocd-{name}") or {})["data"]["installationID"]
        for name in (venture, "venture-b")
    }
    assert len(ids) == 2
    stage.kubectl("delete", "instances.argosy.dev", "venture-b", "-n", "fleet")


def test_nothing_is_sent_while_nothing_changes(stage: Stage, venture: str) -> None:
    stage.wait_ready(venture)

    def versions() -> dict[str, str]:
        kinds = "configmap,secret,service,role,deployment,statefulset,appproject"
        found = json.loads(stage.kubectl("get", kinds, "-n", f"argocd-{venture}", "-o", "json"))["items"]
        return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in found}

    before = versions()
    time.sleep(5)
    assert versions() == before
