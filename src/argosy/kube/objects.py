"""Kubernetes objects as plain dicts, what names them, and where the API serves them."""

from __future__ import annotations

from typing import Any, NamedTuple

Obj = dict[str, Any]


class Ref(NamedTuple):
    """What names one object: API group, kind, namespace (empty: cluster-scoped) and name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return what people call it, such as ``Deployment argocd/argocd-server``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Resource(NamedTuple):
    """One kind as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return ``apiVersion`` as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, of one object, or of a part of it."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, self.plural, *filter(None, (name, subresource))])


def _core(plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource("", "v1", plural, kind, namespaced)


def _rbac(plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource("rbac.authorization.k8s.io", "v1", plural, kind, namespaced)


NAMESPACE = _core("namespaces", "Namespace", namespaced=False)
NODE = _core("nodes", "Node", namespaced=False)
POD = _core("pods", "Pod")
SECRET = _core("secrets", "Secret")
CONFIG_MAP = _core("configmaps", "ConfigMap")
SERVICE = _core("services", "Service")
SERVICE_ACCOUNT = _core("serviceaccounts", "ServiceAccount")
PERSISTENT_VOLUME_CLAIM = _core("persistentvolumeclaims", "PersistentVolumeClaim")
RESOURCE_QUOTA = _core("resourcequotas", "ResourceQuota")
EVENT = _core("events", "Event")
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SET = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SET = Resource("apps", "v1", "daemonsets", "DaemonSet")
REPLICA_SET = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOB = Resource("batch", "v1", "jobs", "Job")
CRON_JOB = Resource("batch", "v1", "cronjobs", "CronJob")
ROLE = _rbac("roles", "Role")
ROLE_BINDING = _rbac("rolebindings", "RoleBinding")
CLUSTER_ROLE = _rbac("clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING = _rbac("clusterrolebindings", "ClusterRoleBinding", namespaced=False)
NETWORK_POLICY = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
INGRESS = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
HTTP_ROUTE = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
POD_DISRUPTION_BUDGET = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
PRIORITY_CLASS = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRD = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_ADMISSION = ("admissionregistration.k8s.io", "v1")
VALIDATING_ADMISSION_POLICY = Resource(
    *_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDING = Resource(
    *_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
APPLICATION = Resource("argoproj.io", "v1alpha1", "applications", "Application")
APPLICATION_SET = Resource("argoproj.io", "v1alpha1", "applicationsets", "ApplicationSet")
APP_PROJECT = Resource("argoproj.io", "v1alpha1", "appprojects", "AppProject")

#: Every kind above by group and kind, so that none of them needs discovery.
BY_KIND: dict[tuple[str, str], Resource] = {
    (found.group, found.kind): found for found in list(globals().values()) if isinstance(found, Resource)
}


def ref_of(obj: Obj) -> Ref:
    """Return what names an object."""
    group, _, version = obj["apiVersion"].rpartition("/")
    meta = obj["metadata"]
    return Ref(group if version else "", obj["kind"], meta.get("namespace", ""), meta["name"])


def resource_of(ref: Ref) -> Resource:
    """Return where an object of a known kind is served; raise KeyError for other kinds."""
    return BY_KIND[ref.group, ref.kind]


def register(resource: Resource) -> Resource:
    """Make a further kind known, such as a product's own, and return it."""
    BY_KIND[resource.group, resource.kind] = resource
    return resource
