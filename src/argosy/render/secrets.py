"""Secrets that Argo CD fills by itself: they exist from the start, and their content is never ours."""

from __future__ import annotations

from argosy.render.context import Objects, RenderContext


def secrets(_context: RenderContext, objects: Objects) -> None:
    """Take content out of upstream's Secrets: what is not applied is not owned, and never overwritten."""
    for secret in objects.of_kind("Secret"):
        secret.pop("data", None)
        secret.pop("stringData", None)
