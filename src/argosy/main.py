"""Where the program begins."""

from __future__ import annotations

from argosy.cli.app import app


def cli() -> None:
    """Run the command line."""
    app()
