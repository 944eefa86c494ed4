"""Managed Argo CD: a dedicated instance for every team, on any target."""

__version__ = "0.1.0"
