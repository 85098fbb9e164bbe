"""`completion`: what a shell must know to complete `orchest` commands and options."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  eval "$(orchest completion bash)"      in ~/.bashrc
    zsh   eval "$(orchest completion zsh)"       in ~/.zshrc
    fish  orchest completion fish > ~/.config/fish/completions/orchest.fish
    """  # noqa: D301 - the backspace itself tells click to leave the lines as they are
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "orchest", "_ORCHEST_COMPLETE").source())
