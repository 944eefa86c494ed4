"""Settings that are refused, each with its field and a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from argosy.api.target import Facts
from argosy.releases import index
from argosy.render.checks import Problem, check
from tests.unit.render.strategies import instance

GATEWAYS = Facts(api_groups=["gateway.networking.k8s.io"])


def problems(facts: Facts | None = GATEWAYS, **spec: Any) -> list[Problem]:
    known = index.known("3.6.1")
    assert known is not None
    return check(instance(**spec), config_keys=known.config_keys, param_keys=known.param_keys, facts=facts)


def fields(found: list[Problem]) -> list[str]:
    return [problem.field for problem in found]


def test_the_smallest_instance_has_no_problem() -> None:
    assert problems() == []


def test_keys_that_the_release_knows_are_taken_by_glob_too() -> None:
    assert problems(config={"accounts.robot": "apiKey", "exec.enabled": "true"}) == []


def test_an_unknown_key_is_named_with_its_field() -> None:
    found = problems(config={"exec.enbled": "true"}, params={"server.insecur": "true"})
    assert fields(found) == ["spec.config[exec.enbled]", "spec.params[server.insecur]"]
    assert "check its spelling" in str(found[0])


def test_without_known_keys_none_is_unknown() -> None:
    assert check(instance(config={"anything": "x"}), config_keys=(), param_keys=(), facts=None) == []


@pytest.mark.parametrize(
    ("table", "key", "remedy"),
    [
        ("config", "url", "spec.server.host"),
        ("config", "installationID", "spec.tracking.installationId"),
        ("config", "resource.exclusions", "spec.resources.exclusions"),
        ("params", "server.insecure", "spec.server.insecure"),
        ("params", "application.namespaces", "spec.sourceNamespaces"),
        ("params", "server.disable.auth", "leave it out"),
    ],
)
def test_a_key_that_belongs_to_argosy_is_refused_with_the_field_to_use(table, key, remedy) -> None:
    (found,) = problems(**{table: {key: "x"}})
    assert found.field == f"spec.{table}[{key}]"
    assert remedy in found.message


@pytest.mark.parametrize("name", ["clientSecret", "bindPW", "password", "accessToken"])
@pytest.mark.parametrize("key", ["dex.config", "oidc.config"])
def test_a_secret_in_plain_text_is_refused_and_not_repeated(key, name) -> None:
    (found,) = problems(config={key: f"connectors:\n- config:\n    {name}: hunter2\n"})
    assert f"{key}.connectors[0].config.{name}" in found.message
    assert "hunter2" not in str(found)


def test_references_to_secrets_and_harmless_names_are_taken() -> None:
    dex = "connectors:\n- config: {clientSecret: $idp:secret, tokenURL: 'https://idp.test', clientID: me}\n"
    assert problems(config={"dex.config": dex, "passwordPattern": "^.{8,}$"}) == []


def test_a_secret_under_a_key_of_its_own_is_refused_where_keys_are_not_known() -> None:
    (found,) = check(
        instance(config={"webhook.github.secret": "hunter2"}), config_keys=(), param_keys=(), facts=None
    )
    assert "plain text" in found.message


def test_broken_yaml_is_named_by_its_line_and_not_quoted() -> None:
    (found,) = problems(config={"oidc.config": "a: 1\nclientSecret: [hunter2\nb"})
    assert found.message.startswith("not valid YAML in line ")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("field", ["destinationNamespaces", "sourceNamespaces"])
@pytest.mark.parametrize("name", ["kube-system", "argosy-system", "argocd-venture-a"])
def test_nobody_is_given_the_namespaces_that_hold_the_power(field, name) -> None:
    assert f"spec.{field}" in fields(problems(**{field: [name]}))


def test_an_instance_whose_only_destination_would_be_itself_is_refused() -> None:
    assert fields(problems(namespace="venture-a")) == ["spec.destinationNamespaces"]


def test_a_gateway_needs_the_api_and_a_server_without_tls() -> None:
    server = {"host": "cd.test", "gateway": {"name": "g", "namespace": "n"}}
    found = problems(facts=Facts(), server={**server, "tlsSecret": "cert"})
    assert fields(found) == ["spec.server.gateway", "spec.server.insecure", "spec.server.tlsSecret"]
    assert problems(server={**server, "insecure": True}) == []
    assert problems(facts=None, server={**server, "insecure": True}) == []


def test_what_there_can_be_but_one_of_is_not_multiplied() -> None:
    found = problems(components={"redis": {"replicas": 3}, "notifications": {"replicas": 2}})
    assert fields(found) == ["spec.components.redis.replicas", "spec.components.notifications.replicas"]


def test_all_problems_are_told_at_once() -> None:
    found = problems(config={"url": "x", "nonsense": "y"}, destinationNamespaces=["kube-system"])
    assert len(found) == 3
