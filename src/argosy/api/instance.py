"""``Instance``: one dedicated Argo CD."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from argosy.api.meta import ApiStruct, Condition, JsonObject, ObjectMeta, rule

DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
VERSION_PATTERN = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"

NamespaceName = Annotated[str, Meta(pattern=DNS_LABEL, min_length=1, max_length=63)]


class Scope(StrEnum):
    """How far an Argo CD reaches inside the cluster that it runs in."""

    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"


class Size(StrEnum):
    """How much an Argo CD is built for; the figures are in ``render/sizes.toml``."""

    S = "S"
    M = "M"
    L = "L"


class DeletionPolicy(StrEnum):
    """What is left when an Instance is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


class TrackingMethod(StrEnum):
    """How Argo CD marks the objects of an Application."""

    ANNOTATION = "annotation"
    LABEL = "label"
    ANNOTATION_AND_LABEL = "annotation+label"


class Owner(ApiStruct, frozen=True, kw_only=True):
    """Who answers for an Instance."""

    team: Annotated[
        str, Meta(description="The team that the Argo CD belongs to.", pattern=DNS_LABEL, max_length=63)
    ]
    contacts: Annotated[
        list[Annotated[str, Meta(max_length=253)]],
        Meta(description="Where to reach the team: mail addresses, chat channels.", max_length=20),
    ] = field(default_factory=list)


class Resources(ApiStruct, frozen=True, kw_only=True):
    """Compute resources of one container, as in a Pod."""

    requests: Annotated[dict[str, str], Meta(description="What is set aside, for example cpu: 100m.")] = (
        field(default_factory=dict)
    )
    limits: Annotated[
        dict[str, str], Meta(description="What it may use at most, for example memory: 1Gi.")
    ] = field(default_factory=dict)


class Component(ApiStruct, frozen=True, kw_only=True):
    """Overrides for one component; what is left out comes from the size."""

    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=50)] | None,
        Meta(description="How many pods (for the controller: shards)."),
    ] = None
    resources: Annotated[Resources | None, Meta(description="Requests and limits of the main container.")] = (
        None
    )
    env: Annotated[
        list[JsonObject],
        Meta(description="Further environment variables, as in a container.", max_length=100),
    ] = field(default_factory=list)
    args: Annotated[
        list[str], Meta(description="Further arguments of the main container.", max_length=50)
    ] = field(default_factory=list)
    volumes: Annotated[list[JsonObject], Meta(description="Further volumes, as in a Pod.", max_length=50)] = (
        field(default_factory=list)
    )
    volume_mounts: Annotated[
        list[JsonObject], Meta(description="Further mounts of the main container.", max_length=50)
    ] = field(default_factory=list)
    sidecars: Annotated[
        list[JsonObject],
        Meta(description="Further containers, for example config management plugins.", max_length=20),
    ] = field(default_factory=list)
    init_containers: Annotated[
        list[JsonObject], Meta(description="Further init containers.", max_length=20)
    ] = field(default_factory=list)
    annotations: Annotated[dict[str, str], Meta(description="Further annotations of its pods.")] = field(
        default_factory=dict
    )
    labels: Annotated[dict[str, str], Meta(description="Further labels of its pods.")] = field(
        default_factory=dict
    )


class Components(ApiStruct, frozen=True, kw_only=True):
    """Overrides by component."""

    controller: Annotated[Component, Meta(description="The application controller.")] = Component()
    server: Annotated[Component, Meta(description="The API server of Argo CD.")] = Component()
    repo_server: Annotated[Component, Meta(description="The repo server, where plugins run.")] = Component()
    application_set: Annotated[Component, Meta(description="The ApplicationSet controller.")] = Component()
    notifications: Annotated[Component, Meta(description="The notifications controller.")] = Component()
    redis: Annotated[Component, Meta(description="Redis.")] = Component()


class Ingress(ApiStruct, frozen=True, kw_only=True):
    """An Ingress for the server."""

    class_name: Annotated[str, Meta(description="The IngressClass; empty for the cluster's default.")] = ""
    annotations: Annotated[dict[str, str], Meta(description="Annotations for the ingress controller.")] = (
        field(default_factory=dict)
    )


class Gateway(ApiStruct, frozen=True, kw_only=True):
    """The Gateway to which an HTTPRoute for the server attaches."""

    name: Annotated[str, Meta(description="The Gateway's name.", min_length=1)]
    namespace: Annotated[str, Meta(description="The Gateway's namespace.", min_length=1)]
    section_name: Annotated[str, Meta(description="One listener of the Gateway; empty for all.")] = ""


class Server(ApiStruct, frozen=True, kw_only=True):
    """How people reach the server."""

    host: Annotated[str, Meta(description="The public host name.", max_length=253)] = ""
    tls_secret: Annotated[
        str,
        Meta(description="A Secret of type kubernetes.io/tls in the instance's namespace for the host."),
    ] = ""
    ingress: Annotated[Ingress | None, Meta(description="Publish the server by an Ingress.")] = None
    gateway: Annotated[Gateway | None, Meta(description="Publish the server by a Gateway API HTTPRoute.")] = (
        None
    )
    insecure: Annotated[bool, Meta(description="Serve plain HTTP behind a proxy that terminates TLS.")] = (
        False
    )


class Rbac(ApiStruct, frozen=True, kw_only=True):
    """Argo CD's own access rules (argocd-rbac-cm)."""

    default_policy: Annotated[
        str, Meta(description="The role of everybody who is logged in; empty for none.")
    ] = ""
    policy: Annotated[str, Meta(description="Policy lines in Argo CD's CSV form.")] = ""
    scopes: Annotated[list[str], Meta(description="OIDC claims that are looked up as groups.")] = field(
        default_factory=lambda: ["groups"]
    )


class ResourceFilter(ApiStruct, frozen=True, kw_only=True):
    """Kinds on clusters, by globs; as in Argo CD's resource.exclusions."""

    api_groups: Annotated[list[str], Meta(description="API groups, globs allowed.", min_length=1)]
    kinds: Annotated[list[str], Meta(description="Kinds, globs allowed.", min_length=1)]
    clusters: Annotated[list[str], Meta(description="Cluster URLs, globs allowed.")] = field(
        default_factory=lambda: ["*"]
    )


class ResourceFilters(ApiStruct, frozen=True, kw_only=True):
    """Which kinds Argo CD watches."""

    inclusions: Annotated[
        list[ResourceFilter], Meta(description="Only these kinds; empty for all.", max_length=100)
    ] = field(default_factory=list)
    exclusions: Annotated[
        Annotated[list[ResourceFilter], Meta(max_length=100)] | UnsetType,
        Meta(description="Never these kinds; left out: the release's own list."),
    ] = UNSET


class Tracking(ApiStruct, frozen=True, kw_only=True):
    """How the objects of Applications are marked as such."""

    method: Annotated[TrackingMethod, Meta(description="The mark that is put on objects.")] = (
        TrackingMethod.ANNOTATION
    )
    installation_id: Annotated[
        str,
        Meta(
            description="Tells the marks of several Argo CDs apart; "
            "left out: made from the Instance's identity.",
            max_length=63,
        ),
    ] = ""


class Placement(ApiStruct, frozen=True, kw_only=True):
    """Where pods run."""

    node_selector: Annotated[dict[str, str], Meta(description="Labels that a node must have.")] = field(
        default_factory=dict
    )
    tolerations: Annotated[
        list[JsonObject], Meta(description="Taints that pods tolerate, as in a Pod.", max_length=50)
    ] = field(default_factory=list)


class Pause(ApiStruct, frozen=True, kw_only=True):
    """Argosy keeps its hands off."""

    reason: Annotated[
        str, Meta(description="Why; shown to everybody who looks.", min_length=3, max_length=500)
    ]
    until: Annotated[datetime, Meta(description="When the pause ends by itself (RFC 3339).")]


class InstanceSpec(ApiStruct, frozen=True, kw_only=True):
    """What an Instance should be."""

    owner: Annotated[Owner, Meta(description="Who answers for it.")]
    target: Annotated[
        str,
        Meta(
            description="The Target, in the same namespace, on which it runs.",
            pattern=DNS_LABEL,
            max_length=63,
            extra_json_schema={
                "x-kubernetes-validations": [
                    rule(
                        "self == oldSelf",
                        "target cannot change: create a second Instance there and move the applications",
                    )
                ]
            },
        ),
    ]
    version: Annotated[
        str,
        Meta(description="The Argo CD version, a Release's name.", pattern=VERSION_PATTERN, max_length=63),
    ]
    namespace: Annotated[
        str,
        Meta(
            description="Its namespace on the target; left out: argocd- and the Instance's name.",
            pattern=f"^$|{DNS_LABEL}",
            max_length=63,
            extra_json_schema={
                "x-kubernetes-validations": [
                    rule(
                        "!(self in ['argosy-system', 'default', 'kube-system', 'kube-public', "
                        "'kube-node-lease'])",
                        "namespace must be one of its own; leave it out for argocd-<name>",
                    ),
                ]
            },
        ),
    ] = ""
    scope: Annotated[
        Scope,
        Meta(description="Namespaced: only destinationNamespaces of its own cluster. Cluster: all of it."),
    ] = Scope.NAMESPACED
    destination_namespaces: Annotated[
        Annotated[list[NamespaceName], Meta(max_length=100)] | UnsetType,
        Meta(
            description="Namespaces of its own cluster that it may deploy to, when Namespaced. "
            "Left out: one, named like the Instance.",
        ),
    ] = UNSET
    source_namespaces: Annotated[
        list[NamespaceName],
        Meta(
            description="Further namespaces whose Applications and ApplicationSets it serves.", max_length=100
        ),
    ] = field(default_factory=list)
    size: Annotated[Size, Meta(description="S up to 100 applications, M up to 1,000, L beyond.")] = Size.S
    high_availability: Annotated[
        bool, Meta(description="Several replicas and Redis with Sentinel; needs three nodes.")
    ] = False
    components: Annotated[Components, Meta(description="Overrides by component.")] = Components()
    server: Annotated[Server, Meta(description="How people reach it.")] = Server()
    rbac: Annotated[Rbac, Meta(description="Argo CD's own access rules.")] = Rbac()
    config: Annotated[
        dict[str, str], Meta(description="Further keys of argocd-cm, checked against the release.")
    ] = field(default_factory=dict)
    params: Annotated[
        dict[str, str], Meta(description="Further keys of argocd-cmd-params-cm, checked against the release.")
    ] = field(default_factory=dict)
    resources: Annotated[ResourceFilters, Meta(description="Which kinds it watches.")] = ResourceFilters()
    tracking: Annotated[Tracking, Meta(description="How objects of Applications are marked.")] = Tracking()
    placement: Annotated[Placement, Meta(description="Where its pods run.")] = Placement()
    application_set: Annotated[bool, Meta(description="Run the ApplicationSet controller.")] = True
    notifications: Annotated[bool, Meta(description="Run the notifications controller.")] = True
    network_policies: Annotated[
        bool, Meta(description="Close Redis and the repo server to everybody else.")
    ] = True
    image_registry: Annotated[
        str,
        Meta(description="Pull all images from this registry; left out: the Target's.", max_length=253),
    ] = ""
    termination_protection: Annotated[bool, Meta(description="Refuse to be deleted.")] = False
    deletion_policy: Annotated[
        DeletionPolicy,
        Meta(
            description="Orphan: Argosy lets go, and everything stays as it is. "
            "Delete: the Argo CD goes, what it deployed stays."
        ),
    ] = DeletionPolicy.ORPHAN
    delete_applications: Annotated[
        bool,
        Meta(
            description="With Delete: also delete the applications and what they deployed. Cannot be undone."
        ),
    ] = False
    pause: Annotated[Pause | None, Meta(description="Keep Argosy's hands off, with a reason and an end.")] = (
        None
    )


#: Rules over more than one field of the spec; single fields carry their own.
SPEC_RULES = [
    # In CEL `namespace` is a reserved word, which the API server has written with underscores.
    rule(
        "has(self.__namespace__) == has(oldSelf.__namespace__) && "
        "(!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)",
        "namespace cannot change: create a second Instance",
        fieldPath=".namespace",
    ),
    rule(
        "!self.deleteApplications || self.deletionPolicy == 'Delete'",
        "deleteApplications needs deletionPolicy: Delete",
        fieldPath=".deleteApplications",
    ),
    rule(
        "!(has(self.server) && has(self.server.ingress) && has(self.server.gateway))",
        "server takes ingress or gateway, not both",
        fieldPath=".server",
    ),
    rule(
        "!has(self.server) || !(has(self.server.ingress) || has(self.server.gateway)) || "
        "(has(self.server.host) && self.server.host != '')",
        "server.host is needed with ingress or gateway",
        fieldPath=".server",
    ),
    rule(
        "self.scope == 'Namespaced' || !has(self.destinationNamespaces)",
        "destinationNamespaces goes with scope: Namespaced; scope: Cluster reaches all of them",
        fieldPath=".destinationNamespaces",
    ),
]


class ComponentStatus(ApiStruct, frozen=True, kw_only=True, omit_defaults=False):
    """How one component is."""

    name: Annotated[str, Meta(description="The workload.")]
    ready: Annotated[int, Meta(description="Pods that are ready.")]
    desired: Annotated[int, Meta(description="Pods that should be.")]
    image: Annotated[str, Meta(description="The image of its main container.")] = ""
    message: Annotated[str, Meta(description="What is wrong, and its cause as Kubernetes gives it.")] = ""


class ActionStatus(ApiStruct, frozen=True, kw_only=True, omit_defaults=False):
    """Something that Argosy did."""

    time: Annotated[datetime, Meta(description="When.")]
    action: Annotated[str, Meta(description="Create, Change, Prune or Recreate.")]
    object: Annotated[str, Meta(description="To which object.")]
    reason: Annotated[str, Meta(description="Why; for drift: who changed what.")]


class InstanceStatus(ApiStruct, frozen=True, kw_only=True):
    """What an Instance is."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this tells of.")
    ] = 0
    conditions: Annotated[
        list[Condition], Meta(description="Ready, Reconciling, Stalled, then Argosy's own.")
    ] = field(default_factory=list)
    namespace: Annotated[str, Meta(description="Its namespace on the target.")] = ""
    version: Annotated[str, Meta(description="The Argo CD version that runs.")] = ""
    url: Annotated[str, Meta(description="Where the server is reached from outside, if anywhere.")] = ""
    objects: Annotated[int, Meta(description="How many objects Argosy holds for it.")] = 0
    components: Annotated[list[ComponentStatus], Meta(description="Its components.")] = field(
        default_factory=list
    )
    actions: Annotated[list[ActionStatus], Meta(description="What Argosy did last, newest first.")] = field(
        default_factory=list
    )


class Instance(ApiStruct, frozen=True, kw_only=True):
    """One dedicated Argo CD: who owns it, where it runs, which version, how big."""

    metadata: ObjectMeta
    spec: InstanceSpec
    status: InstanceStatus = InstanceStatus()

    @property
    def key(self) -> str:
        """``namespace/name`` on the source."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def namespace(self) -> str:
        """The namespace on the target."""
        return self.spec.namespace or f"argocd-{self.metadata.name}"

    @property
    def destination_namespaces(self) -> list[str]:
        """The namespaces of its own cluster that it may deploy to (none named: all, when Cluster)."""
        if self.spec.scope is Scope.CLUSTER:
            return []
        named = self.spec.destination_namespaces
        return [self.metadata.name] if named is UNSET else list(named)
