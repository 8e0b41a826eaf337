"""``media-gateway migrate``: what a LiteLLM config does here, and a commented copy of it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.shared import fail, told
from gateway.config import ConfigError
from gateway.config.source import read
from gateway.migration import Migration
from gateway.migration import migrate as migrated

_TITLES = (
    ("Works", ("works",)),
    ("Commented out in the copy", ("no model", "nothing")),
    ("Different", ("different",)),
    ("To do by hand", ("by hand",)),
)


def migrate(
    file: Annotated[Path, typer.Argument(help="The config.yaml of LiteLLM's proxy.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The copy, or '-' for standard output. Default: FILE.media-gateway.yaml."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Say what a LiteLLM config does here, and write a commented copy for this gateway.

    Exit codes: 0 the server starts with the copy as it is, 1 something is to be done by hand, 2 FILE cannot be read,
    or the copy not be written.
    """
    to_stdout = output is not None and str(output) == "-"
    copy = file if to_stdout else output or file.with_suffix(".media-gateway.yaml")
    if not to_stdout and copy.exists():
        if file.exists() and copy.samefile(file):
            fail(f"{copy} is the file itself: give the copy another name", 2)
        if not force:
            fail(f"{copy} is there already: give another name with --output, or --force to overwrite it", 2)
    try:
        migration = migrated(read(file), file, copy)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        fail(f"{file} cannot be read", 2)
    if to_stdout:
        with told():
            sys.stdout.buffer.write(migration.text.encode())
    else:
        try:
            _write(copy, migration, stat.S_IMODE(file.stat().st_mode), force=force)
        except OSError as error:
            fail(f"{copy} cannot be written: {error.strerror}", 2)
    _print(migration, file, err=to_stdout)
    if not to_stdout:
        typer.echo(f"The copy is {copy}")
    if migration.of("by hand"):
        raise typer.Exit(1)


def _write(path: Path, migration: Migration, mode: int, *, force: bool) -> None:
    """For nobody else to read where there are secrets in it, and never for more than before."""
    if force:
        path.unlink(missing_ok=True)
    mode &= 0o600 if migration.secrets else 0o666
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(migration.text.encode())


def _print(migration: Migration, file: Path, *, err: bool) -> None:
    for title, kinds in _TITLES:
        found = [each for each in migration.findings if each.kind in kinds]
        if not found:
            continue
        typer.echo(f"{title}:", err=err)
        for each in found:
            place = f"{file}:{each.line}" if each.line else f"{file}"
            typer.echo("  " + ": ".join(filter(None, (place, each.where, each.text))), err=err)
        typer.echo("", err=err)
    works, gone = len(migration.of("works")), len(migration.of("no model"))
    typer.echo(
        f"{works} model{'s' * (works != 1)} work{'s' * (works == 1)}, {gone} commented out; settings: "
        f"{len(migration.of('nothing'))} commented out, {len(migration.of('different'))} different, "
        f"{len(migration.of('by hand'))} to do by hand.",
        err=err,
    )
