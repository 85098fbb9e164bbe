"""Commands of the layer above: named here, found through the entry points of this distribution when they are called.

In: a name and the line of `orchest --help`. Out: the command itself, imported as late as possible: even reading the
entry points costs more than the whole help may. Never: an import of that layer, or a command of another distribution.
"""

from __future__ import annotations

from typing import Any

import click

_DISTRIBUTION = "orchest-gitops"
_GROUP = "orchest.commands"


class Above(click.Command):
    """Stands for a command until somebody calls it, completes it, or asks for its help."""

    def __init__(self, name: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._entry = name

    def command(self) -> click.Command:
        """Raises click.ClickException when it is not installed: an installation from before it existed."""
        from importlib.metadata import distributions

        # A checkout has metadata of its own, which may be older than the installation beside it.
        for installed in distributions(name=_DISTRIBUTION):
            for entry in installed.entry_points.select(group=_GROUP, name=self._entry):
                loaded: click.Command = entry.load()
                return loaded
        raise click.ClickException(f"`{self._entry}` is not in this installation. Install {_DISTRIBUTION} anew.")

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return self.command().make_context(info_name, args, parent, **extra)
