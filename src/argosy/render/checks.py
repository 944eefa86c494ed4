"""What is wrong with an Instance's settings for its release and target.

Pure rules, listed in `RULES`; all findings are returned at once, so that one edit can mend them all.
What the API server can judge from the Instance alone is in the CRD's schema, not here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import yaml

from argosy.api.instance import Instance
from argosy.api.target import Facts
from argosy.kube.objects import HTTP_ROUTE
from argosy.render.projects import SYSTEM_NAMESPACES

#: How the names of settings end that hold a secret: clientSecret, bindPW, accessToken, privateKey.
SECRET_ENDINGS = ("secret", "password", "pw", "token", "privatekey", "accesskey", "secretkey")
#: Settings whose value is YAML with secrets inside.
NESTED = ("dex.config", "oidc.config", "repositories", "repository.credentials", "helm.repositories")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong: the field, and what to do."""

    field: str
    message: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the rules look at: an Instance, the keys that its release knows, and the target's facts."""

    instance: Instance
    config_keys: tuple[str, ...]
    param_keys: tuple[str, ...]
    facts: Facts | None


def check(
    instance: Instance, *, config_keys: Iterable[str], param_keys: Iterable[str], facts: Facts | None
) -> list[Problem]:
    """Return all problems. Empty key lists and no facts mean that nothing is known to check against."""
    question = Question(
        instance=instance, config_keys=tuple(config_keys), param_keys=tuple(param_keys), facts=facts
    )
    return [problem for rule in RULES for problem in rule(question)]


def config_keys_are_free_and_known(q: Question) -> Iterator[Problem]:
    """Each key of argocd-cm is one of the release's, and not one that Argosy owns."""
    return keys("config", q.instance.spec.config, q.config_keys)


def param_keys_are_free_and_known(q: Question) -> Iterator[Problem]:
    """Each key of argocd-cmd-params-cm is one of the release's, and not one that Argosy owns."""
    return keys("params", q.instance.spec.params, q.param_keys)


def keys(table: str, given: dict[str, str], known: tuple[str, ...]) -> Iterator[Problem]:
    """Check the keys of one ConfigMap."""
    owned = reserved()[table]
    for key in sorted(given):
        field = f"spec.{table}[{key}]"
        if key in owned:
            yield Problem(field=field, message=f"the key belongs to Argosy; {owned[key]}")
        elif known and not any(fnmatchcase(key, glob) for glob in known):
            yield Problem(
                field=field, message="this release does not know the key; check its spelling and spec.version"
            )


def secrets_are_references(q: Question) -> Iterator[Problem]:
    """No secret stands in a ConfigMap in plain text, where everybody can read it."""
    for key, value in sorted(q.instance.spec.config.items()):
        field = f"spec.config[{key}]"
        try:
            tree = yaml.load(value, Loader=yaml.CSafeLoader) if key in NESTED else value
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)  # never the text itself: it may hold a secret
            yield Problem(field=field, message=f"not valid YAML{f' in line {mark.line + 1}' if mark else ''}")
            continue
        for path, leaf in leaves(tree, key):
            name = path.rpartition(".")[2].lower()
            if name.endswith(SECRET_ENDINGS) and isinstance(leaf, str) and leaf and not leaf.startswith("$"):
                yield Problem(
                    field=field,
                    message=f"{path} is a secret in plain text; put it into a Secret in the instance's "
                    "namespace with the label app.kubernetes.io/part-of: argocd, and write $<secret>:<key>",
                )


def leaves(tree: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield all values of a tree with their paths."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from leaves(value, f"{path}[{number}]")
    else:
        yield path, tree


def system_namespaces_are_left_alone(q: Question) -> Iterator[Problem]:
    """Neither the cluster's own namespaces nor the instance's are given to the tenant."""
    closed = {*SYSTEM_NAMESPACES, q.instance.namespace}
    given = {
        "spec.destinationNamespaces": q.instance.destination_namespaces,
        "spec.sourceNamespaces": q.instance.spec.source_namespaces,
    }
    for field, names in given.items():
        for name in names:
            if name in closed:
                yield Problem(
                    field=field,
                    message=f"{name} is closed: who writes there holds the instance or the cluster; "
                    "choose namespaces of the team's own",
                )


def gateway_is_usable(q: Question) -> Iterator[Problem]:
    """The target serves the Gateway API, and the gateway finds what it expects behind it."""
    server = q.instance.spec.server
    if server.gateway is None:
        return
    if q.facts is not None and HTTP_ROUTE.group not in q.facts.api_groups:
        yield Problem(
            field="spec.server.gateway",
            message=f"the target does not serve {HTTP_ROUTE.group}; install the Gateway API or use ingress",
        )
    if not server.insecure:
        yield Problem(
            field="spec.server.insecure",
            message="must be true with gateway: the gateway ends TLS and speaks plain HTTP to the server, "
            "which would send it back to https for ever",
        )
    if server.tls_secret:
        yield Problem(
            field="spec.server.tlsSecret",
            message="leave it out with gateway: the certificate is that of the gateway's listener",
        )


def single_components_stay_single(q: Question) -> Iterator[Problem]:
    """Components of which there can be but one are not multiplied."""
    components = q.instance.spec.components
    if components.redis.replicas is not None:
        yield Problem(
            field="spec.components.redis.replicas",
            message="leave it out: Redis is one, or three with spec.highAvailability",
        )
    if (components.notifications.replicas or 1) > 1:
        yield Problem(
            field="spec.components.notifications.replicas",
            message="leave it out: two notification controllers would send everything twice",
        )


RULES: tuple[Callable[[Question], Iterator[Problem]], ...] = (
    config_keys_are_free_and_known,
    param_keys_are_free_and_known,
    secrets_are_references,
    system_namespaces_are_left_alone,
    gateway_is_usable,
    single_components_stay_single,
)


@cache
def reserved() -> dict[str, dict[str, str]]:
    """Read the keys that belong to Argosy, by ConfigMap, with what to use instead."""
    return tomllib.loads(files(__package__).joinpath("reserved.toml").read_text())
