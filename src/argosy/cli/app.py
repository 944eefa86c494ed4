"""The commands and where they are; nothing of theirs is imported before it is called."""

from __future__ import annotations

from cyclopts import App

import argosy

app = App(name="argosy", help="Managed Argo CD: a dedicated instance for every team, on any target.")
app.command("argosy.cli.run:run", name="run", help="Run the controller until it is told to stop.")


@app.command
def version() -> None:
    """Print Argosy's version."""
    print(argosy.__version__)
