"""What single settings of an Instance bring about, on the newest manifests unless said otherwise."""

from __future__ import annotations

import base64
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

from argosy.api.instance import Instance
from argosy.api.target import Registry
from argosy.kube.objects import Obj, ref_of
from argosy.releases.bundle import Bundle
from argosy.render.context import RenderContext, all_containers
from argosy.render.images import mirrored
from argosy.render.pipeline import render, variant_of
from argosy.render.shared import shared_objects
from argosy.render.sizing import amount
from tests.unit.render.strategies import instance

HOME = "argocd-venture-a"
IN_CLUSTER = "https://kubernetes.default.svc"


class Rendered:
    """The objects of an Instance, by kind and name."""

    def __init__(self, bundle: Bundle, wanted: Instance, registry: Registry | None = None) -> None:
        context = RenderContext(instance=wanted, registry=registry or Registry())
        self.objects = render(context, bundle.objects(variant_of(wanted)))
        self.by_ref = {(ref.kind, ref.namespace, ref.name): o for o in self.objects if (ref := ref_of(o))}

    def __call__(self, kind: str, name: str, namespace: str = HOME) -> Obj:
        return self.by_ref[kind, namespace, name]

    def names(self, kind: str) -> set[str]:
        return {obj["metadata"]["name"] for obj in self.objects if obj["kind"] == kind}

    def data(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self("ConfigMap", name)["data"]
        return found

    def pod(self, name: str, kind: str = "Deployment") -> Obj:
        spec: Obj = self(kind, name)["spec"]["template"]["spec"]
        return spec

    def env(self, name: str, kind: str = "Deployment") -> dict[str, Any]:
        return {e["name"]: e.get("value") for e in self.pod(name, kind)["containers"][0]["env"]}

    def workloads(self) -> list[Obj]:
        return [obj for obj in self.objects if obj["kind"] in ("Deployment", "StatefulSet")]


@pytest.fixture
def of(newest: Bundle) -> Any:
    """Render an Instance of venture-a with the given settings."""

    def rendered(registry: Registry | None = None, **spec: Any) -> Rendered:
        return Rendered(newest, instance("venture-a", **spec), registry)

    return rendered


# How far it reaches


def test_a_namespaced_instance_may_do_everything_in_its_destinations_and_nothing_elsewhere(of) -> None:
    found = of(destinationNamespaces=["blue", "green"])
    for namespace in ("blue", "green"):
        role = found("Role", f"argocd-application-controller-{HOME}", namespace)
        assert role["rules"] == [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        binding = found("RoleBinding", f"argocd-application-controller-{HOME}", namespace)
        account = {"kind": "ServiceAccount", "name": "argocd-application-controller", "namespace": HOME}
        assert binding["subjects"] == [account]
    assert not found.names("ClusterRole") | found.names("ClusterRoleBinding")


def test_argo_cd_is_told_its_destinations_by_the_in_cluster_secret(of) -> None:
    secret = of(destinationNamespaces=["blue", "green"])("Secret", "argocd-cluster-in-cluster")
    assert secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == "cluster"
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert (data["server"], data["namespaces"], data["clusterResources"]) == (
        IN_CLUSTER,
        "blue,green",
        "false",
    )


def test_without_destinations_its_own_cluster_is_none(of) -> None:
    found = of(destinationNamespaces=[])
    # A Secret without namespaces would give it the whole cluster.
    assert "argocd-cluster-in-cluster" not in found.names("Secret")
    assert found.data("argocd-cm")["cluster.inClusterEnabled"] == "false"


def test_a_cluster_instance_has_upstreams_cluster_roles_for_its_own_accounts(of) -> None:
    found = of(scope="Cluster")
    name = f"argocd-application-controller-{HOME}"
    assert found("ClusterRoleBinding", name, "")["roleRef"]["name"] == name
    assert found("ClusterRoleBinding", name, "")["subjects"][0]["namespace"] == HOME
    assert "argocd-cluster-in-cluster" not in found.names("Secret")


def test_source_namespaces_are_served_and_granted(of) -> None:
    found = of(sourceNamespaces=["apps"])
    assert found.data("argocd-cmd-params-cm")["application.namespaces"] == "apps"
    accounts = {s["name"] for s in found("RoleBinding", f"argocd-sources-{HOME}", "apps")["subjects"]}
    assert {"argocd-application-controller", "argocd-server", "argocd-notifications-controller"} == accounts
    reading = found("ClusterRole", f"argocd-sources-{HOME}", "")["rules"]
    assert {verb for rule in reading for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert found("AppProject", "venture-a")["spec"]["sourceNamespaces"] == ["apps"]


def test_application_sets_elsewhere_need_a_cluster_instance_and_close_scm_providers(of) -> None:
    key, providers = "applicationsetcontroller.namespaces", "applicationsetcontroller.enable.scm.providers"
    assert key not in of(sourceNamespaces=["apps"]).data("argocd-cmd-params-cm")
    params = of(scope="Cluster", sourceNamespaces=["apps"]).data("argocd-cmd-params-cm")
    assert (params[key], params[providers]) == ("apps", "false")
    chosen = {"applicationsetcontroller.allowed.scm.providers": "https://git.test"}
    params = of(scope="Cluster", sourceNamespaces=["apps"], params=chosen).data("argocd-cmd-params-cm")
    assert providers not in params


# Projects


def permitted(project: Obj, server: str, namespace: str) -> bool:
    """Decide as Argo CD does (isDestinationMatched in app_project_types.go)."""

    def matches(pattern: str, value: str) -> bool:
        denied = pattern.startswith("!")
        return fnmatchcase(value, pattern.removeprefix("!")) != denied

    allowed = False
    for item in project["spec"]["destinations"]:
        on, within = matches(item["server"], server), matches(item["namespace"], namespace)
        denies_server, denies_namespace = (item[key].startswith("!") for key in ("server", "namespace"))
        if on and within:
            allowed = True
        elif (denies_server and within and not on) or (denies_namespace and on and not within):
            return False
    return allowed


def test_the_default_project_allows_nothing(of) -> None:
    project = of()("AppProject", "default")
    assert not permitted(project, IN_CLUSTER, "venture-a")
    assert project["spec"]["sourceRepos"] == []
    assert project["spec"]["namespaceResourceBlacklist"] == [{"group": "*", "kind": "*"}]


def test_the_teams_project_reaches_the_destinations_and_nothing_cluster_scoped(of) -> None:
    project = of(owner={"team": "blue"})("AppProject", "blue")
    assert permitted(project, IN_CLUSTER, "venture-a")
    assert not permitted(project, IN_CLUSTER, HOME)
    assert not permitted(project, "https://other.test", "venture-a")
    assert project["spec"]["clusterResourceWhitelist"] == []


def test_the_external_project_reaches_every_cluster_but_the_instances_own(of) -> None:
    project = of()("AppProject", "venture-a-external")
    assert permitted(project, "https://other.test", "anything")
    assert not permitted(project, IN_CLUSTER, "venture-a")


def test_the_project_of_a_cluster_instance_spares_the_namespaces_that_hold_the_power(of) -> None:
    project = of(scope="Cluster")("AppProject", "venture-a")
    assert permitted(project, IN_CLUSTER, "anything")
    assert permitted(project, "https://other.test", "kube-system")
    for closed in (HOME, "argosy-system", "kube-system"):
        assert not permitted(project, IN_CLUSTER, closed)


def test_a_team_called_default_does_not_open_the_default_project(of) -> None:
    found = of(owner={"team": "default"})
    assert not permitted(found("AppProject", "default"), IN_CLUSTER, "venture-a")
    assert permitted(found("AppProject", "team-default"), IN_CLUSTER, "venture-a")


# Size


@pytest.mark.parametrize(("size", "processors"), [("S", "20"), ("M", "50"), ("L", "100")])
def test_the_size_sets_processors_and_the_instance_may_overrule_it(of, size, processors) -> None:
    key = "controller.status.processors"
    assert of(size=size).data("argocd-cmd-params-cm")[key] == processors
    assert of(size=size, params={key: "7"}).data("argocd-cmd-params-cm")[key] == "7"


def test_client_rates_go_where_the_release_reads_them(bundle: Bundle) -> None:
    found = Rendered(bundle, instance("venture-a", size="M"))
    env = found.env("argocd-application-controller", "StatefulSet")
    params = found.data("argocd-cmd-params-cm")
    assert (env["ARGOCD_K8S_CLIENT_QPS"] or params["controller.k8s.client.qps"]) == "100"


def test_syncs_end_after_a_while(bundle: Bundle) -> None:
    found = Rendered(bundle, instance("venture-a"))
    assert found.data("argocd-cmd-params-cm")["controller.sync.timeout.seconds"] == "900"


def test_more_shards_are_told_to_the_controller(of) -> None:
    found = of(components={"controller": {"replicas": 3}})
    assert found("StatefulSet", "argocd-application-controller")["spec"]["replicas"] == 3
    assert found.env("argocd-application-controller", "StatefulSet")["ARGOCD_CONTROLLER_REPLICAS"] == "3"


def test_a_limit_below_the_sizes_request_takes_the_request_down_with_it(of) -> None:
    found = of(size="M", components={"controller": {"resources": {"limits": {"memory": "1Gi"}}}})
    resources = found.pod("argocd-application-controller", "StatefulSet")["containers"][0]["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("1Gi", "1Gi")


def test_a_request_above_the_sizes_limit_takes_the_limit_up_with_it(of) -> None:
    found = of(components={"controller": {"resources": {"requests": {"memory": "6Gi"}}}})
    resources = found.pod("argocd-application-controller", "StatefulSet")["containers"][0]["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("6Gi", "6Gi")


def test_go_is_told_ninety_percent_of_the_memory_limit(of) -> None:
    env = of(size="M").env("argocd-application-controller", "StatefulSet")
    assert int(env["GOMEMLIMIT"]) == 4 * 1024**3 * 9 // 10


def test_redis_is_not_multiplied(of) -> None:
    assert of(components={"redis": {"replicas": 3}})("Deployment", "argocd-redis")["spec"]["replicas"] == 1


def test_several_application_set_controllers_elect_a_leader(of) -> None:
    key = "applicationsetcontroller.enable.leader.election"
    assert key not in of().data("argocd-cmd-params-cm")
    found = of(components={"applicationSet": {"replicas": 2}})
    assert found.data("argocd-cmd-params-cm")[key] == "true"


def test_rollouts_end_where_each_pod_needs_a_node_of_its_own(bundle: Bundle) -> None:
    found = Rendered(bundle, instance("venture-a", highAvailability=True))
    for name in ("argocd-server", "argocd-repo-server", "argocd-redis-ha-haproxy"):
        strategy = found("Deployment", name)["spec"]["strategy"]
        assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_small_instance_does_not_fall_below_what_upstream_thinks_highly_available(newest: Bundle) -> None:
    found = Rendered(newest, instance("venture-a", highAvailability=True))
    upstream = {
        o["metadata"]["name"]: o["spec"]["replicas"]
        for o in newest.objects("namespaced-ha")
        if o["kind"] == "Deployment" and "replicas" in o["spec"]
    }
    assert upstream["argocd-server"] > 1
    for name, replicas in upstream.items():
        assert found("Deployment", name)["spec"]["replicas"] >= replicas


@pytest.mark.parametrize("size", "SML")
def test_high_availability_fits_on_three_nodes(bundle: Bundle, size: str) -> None:
    found = Rendered(bundle, instance("venture-a", highAvailability=True, size=size))
    assert max(workload["spec"]["replicas"] for workload in found.workloads()) == 3


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("100m", 0.1), ("2", 2), ("1.5", 1.5), ("1Ki", 1024), ("2Gi", 2 << 30), ("1M", 1e6)],
)
def test_quantities_are_read_as_kubernetes_reads_them(quantity, number) -> None:
    assert amount(quantity) == pytest.approx(number)


# Configuration


def test_own_keys_join_upstreams(of) -> None:
    data = of(config={"exec.enabled": "true"}).data("argocd-cm")
    assert data["exec.enabled"] == "true"
    assert "CiliumIdentity" in data["resource.exclusions"]


def test_exclusions_replace_upstreams_even_by_none(of) -> None:
    mine = {"exclusions": [{"apiGroups": ["x.test"], "kinds": ["Thing"]}]}
    entries = yaml.safe_load(of(resources=mine).data("argocd-cm")["resource.exclusions"])
    assert entries == [{"apiGroups": ["x.test"], "kinds": ["Thing"], "clusters": ["*"]}]
    assert yaml.safe_load(of(resources={"exclusions": []}).data("argocd-cm")["resource.exclusions"]) == []


def test_installation_ids_differ_between_instances_of_one_name(newest: Bundle) -> None:
    ids = {
        Rendered(newest, instance("venture-a", source=source)).data("argocd-cm")["installationID"]
        for source in ("one", "two")
    }
    assert len(ids) == 2


def test_nobody_gets_a_role_by_default_and_drift_there_is_noticed(of) -> None:
    assert of().data("argocd-rbac-cm") == {"policy.default": "", "policy.csv": "", "scopes": '["groups"]'}


def test_pods_start_anew_when_a_parameter_changes_that_they_read_at_their_start(of) -> None:
    def marks(**params: str) -> dict[str, str]:
        return {
            w["metadata"]["name"]: w["spec"]["template"]["metadata"]["annotations"]["argosy.dev/settings"]
            for w in of(params=params).workloads()
            if "annotations" in w["spec"]["template"]["metadata"]
        }

    before, after = marks(), marks(**{"reposerver.log.level": "debug"})
    assert {name for name in before if before[name] != after[name]} == {"argocd-repo-server"}


# Components


def test_dex_runs_only_with_connectors(bundle: Bundle) -> None:
    without = Rendered(bundle, instance("venture-a"))
    assert not [o for o in without.objects if "dex" in o["metadata"]["name"]]
    connected = Rendered(bundle, instance("venture-a", config={"dex.config": "connectors: []"}))
    assert "argocd-dex-server" in connected.names("Deployment") & connected.names("Service")


def test_components_that_are_off_are_gone_but_what_may_hold_data_stays(bundle: Bundle) -> None:
    found = Rendered(bundle, instance("venture-a", notifications=False, applicationSet=False))
    gone = ("argocd-notifications-controller", "argocd-applicationset-controller")
    left = {
        (o["kind"], o["metadata"]["name"]) for o in found.objects if o["metadata"]["name"].startswith(gone)
    }
    assert not left
    assert "argocd-notifications-cm" in found.names("ConfigMap")
    assert "argocd-notifications-secret" in found.names("Secret")


def test_a_plugin_sidecar_gets_its_place_beside_the_repo_server(of) -> None:
    component = {
        "sidecars": [{"name": "plugin", "image": "registry.test/plugin:1"}],
        "volumes": [{"name": "plugin-tmp", "emptyDir": {}}],
        "volumeMounts": [{"name": "plugin-tmp", "mountPath": "/plugin"}],
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.test"}],
        "args": ["--verbose"],
    }
    pod = of(components={"repoServer": component}).pod("argocd-repo-server")
    main, plugin = pod["containers"]
    assert (main["name"], plugin["name"]) == ("argocd-repo-server", "plugin")
    assert plugin["resources"]["limits"]
    assert main["args"][-1] == "--verbose"
    assert main["volumeMounts"][-1]["name"] == pod["volumes"][-1]["name"] == "plugin-tmp"


def test_a_sidecar_that_needs_more_lowers_the_namespace_to_baseline(of) -> None:
    sidecar = {"sidecars": [{"name": "plugin", "image": "registry.test/plugin:1"}]}
    namespace = of(components={"repoServer": sidecar})("Namespace", HOME, "")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


def test_a_tenants_namespace_keeps_its_pod_security(of) -> None:
    labels = of()("Namespace", "venture-a", "")["metadata"]["labels"]
    assert not [name for name in labels if name.startswith("pod-security")]


def test_pods_run_where_the_instance_says(of) -> None:
    toleration = {"key": "infra", "operator": "Exists"}
    found = of(placement={"nodeSelector": {"pool": "infra"}, "tolerations": [toleration]})
    for workload in found.workloads():
        pod = workload["spec"]["template"]["spec"]
        assert pod["nodeSelector"]["pool"] == "infra"
        assert toleration in pod["tolerations"]


# Images


@pytest.mark.parametrize(
    ("image", "there"),
    [
        ("quay.io/argoproj/argocd:v3.6.1", "m.test/p/argoproj/argocd:v3.6.1"),
        ("localhost/a:1", "m.test/p/a:1"),
        ("registry:5000/a/b@sha256:0", "m.test/p/a/b@sha256:0"),
        ("library/redis:7", "m.test/p/library/redis:7"),
        ("redis:7", "m.test/p/library/redis:7"),
        ("m.test/p/a:1", "m.test/p/a:1"),
    ],
)
def test_the_mirror_takes_the_place_of_the_images_registry(image, there) -> None:
    assert mirrored(image, "m.test/p") == there


def test_all_images_come_from_the_mirror_of_the_instance_before_that_of_the_target(of) -> None:
    registry = Registry(mirror="target.test", pull_secrets=["key"])
    for spec, host in (({}, "target.test/"), ({"imageRegistry": "own.test"}, "own.test/")):
        for workload in of(registry, **spec).workloads():
            assert all(c["image"].startswith(host) for c in all_containers(workload))
            assert workload["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "key"}]


# What a later release might bring


def test_content_of_upstreams_secrets_is_left_to_argo_cd(newest: Bundle) -> None:
    upstream = newest.objects("namespaced")
    for obj in upstream:
        if obj["kind"] == "Secret":
            obj |= {"data": {"a": "Yg=="}, "stringData": {"c": "d"}}
    objects = render(RenderContext(instance=instance("venture-a", destinationNamespaces=[])), upstream)
    assert not [o for o in objects if o["kind"] == "Secret" and o.keys() & {"data", "stringData"}]


def test_redis_and_the_repo_server_are_closed_even_if_upstream_forgets(newest: Bundle) -> None:
    upstream = [obj for obj in newest.objects("namespaced") if obj["kind"] != "NetworkPolicy"]
    objects = render(RenderContext(instance=instance("venture-a")), upstream)
    policies = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "NetworkPolicy"}
    assert set(policies) == {"argocd-redis-network-policy", "argocd-repo-server-network-policy"}
    for policy in policies.values():
        assert policy["ingress"] == [{"from": [{"podSelector": {}}]}]


# Exposure


def test_an_ingress_leads_to_the_port_that_speaks_what_the_server_speaks(of) -> None:
    server = {"host": "cd.test", "tlsSecret": "cert", "ingress": {"className": "nginx"}}
    for insecure, number in ((False, 443), (True, 80)):
        found = of(server={**server, "insecure": insecure})
        spec = found("Ingress", "argocd-server")["spec"]
        backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend == {"name": "argocd-server", "port": {"number": number}}
        assert spec["tls"] == [{"hosts": ["cd.test"], "secretName": "cert"}]
        assert number in {port["port"] for port in found("Service", "argocd-server")["spec"]["ports"]}
        assert found.data("argocd-cm")["url"] == "https://cd.test"
        assert found.data("argocd-cmd-params-cm")["server.insecure"] == str(insecure).lower()


def test_a_route_attaches_to_the_named_gateway(of) -> None:
    gateway = {"name": "public", "namespace": "infra", "sectionName": "https"}
    spec = of(server={"host": "cd.test", "insecure": True, "gateway": gateway})("HTTPRoute", "argocd-server")[
        "spec"
    ]
    assert spec["parentRefs"] == [gateway]
    assert spec["hostnames"] == ["cd.test"]
    assert spec["rules"] == [{"backendRefs": [{"name": "argocd-server", "port": 80}]}]


def test_the_priority_class_that_pods_name_is_shared_by_all_instances(of) -> None:
    (shared,) = shared_objects()
    assert {p["spec"]["template"]["spec"]["priorityClassName"] for p in of().workloads()} == {
        shared["metadata"]["name"]
    }
