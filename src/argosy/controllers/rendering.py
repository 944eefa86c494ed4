"""From a situation to the objects of an Argo CD; releases stay unpacked between calls."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

import argosy
from argosy.api.meta import INSTANCE_LABEL
from argosy.api.reasons import InstanceReason as Reason
from argosy.api.release import Release
from argosy.kube.objects import HTTP_ROUTE, Obj
from argosy.releases.bundle import Bundle, unpack
from argosy.render.checks import check
from argosy.render.context import RenderContext
from argosy.render.pipeline import render, variant_of
from argosy.rules.guards import Finding, Situation

#: How many releases are kept unpacked; a fleet runs a handful.
KEPT = 8


class Rendering:
    """Renders Instances, and tells cheaply whether rendering again would give anything new."""

    def __init__(self) -> None:
        """Start with no release unpacked."""
        self._bundles: dict[str, Bundle] = {}

    def check(self, situation: Situation) -> Finding | None:
        """Return what is wrong with an Instance's settings, if anything."""
        release = situation.release
        problems = check(
            situation.instance,
            config_keys=release.spec.config_keys if release else (),
            param_keys=release.spec.param_keys if release else (),
            facts=situation.facts,
        )
        if not problems:
            return None
        return Finding(reason=Reason.INVALID_CONFIGURATION, message="; ".join(map(str, problems)))

    def inputs(self, situation: Situation) -> str:
        """Hash everything that the rendered objects depend on."""
        target, release = situation.target, situation.release
        parts = [
            argosy.__version__,
            situation.instance.key,
            msgspec.to_builtins(situation.instance.spec),
            msgspec.to_builtins(target.spec.registry) if target else None,
            release.spec.digest if release else "",
            HTTP_ROUTE.group in situation.facts.api_groups,
        ]
        return blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=8).hexdigest()

    def render(self, situation: Situation) -> list[Obj]:
        """Return the objects of the Argo CD that the Instance asks for."""
        target, release = situation.target, situation.release
        if target is None or release is None:
            raise ValueError(f"{INSTANCE_LABEL} {situation.instance.key} has no target or no release")
        context = RenderContext(
            instance=situation.instance, facts=situation.facts, registry=target.spec.registry
        )
        return render(context, self.bundle(release).objects(variant_of(situation.instance)))

    def bundle(self, release: Release) -> Bundle:
        """Return a release's manifests, unpacked once."""
        known = self._bundles.get(release.spec.digest)
        if known is None:
            while len(self._bundles) >= KEPT:
                self._bundles.pop(next(iter(self._bundles)))
            known = self._bundles[release.spec.digest] = unpack(release)
        return known
