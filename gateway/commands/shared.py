"""What all commands share: the config, the tables, and how a command fails."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.config import Config, ConfigError, load_config
from gateway.database import StoreError
from gateway.errors import GatewayError
from providers.base.errors import ProviderError

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="MEDIA_GATEWAY_CONFIG",
        help="The YAML config. Default: ./config.yaml, else the example.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load(path: Path | None, *, quiet: bool = False) -> Config:
    """The config of a command; on faults, prints them all and ends the program. ``quiet``: warnings have been read."""
    path = path or _usual()
    try:
        config = load_config(path)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        count = sum(problem.severity == "error" for problem in error.problems)
        fail(f"{path}: {count} error{'s' if count != 1 else ''}")
    for problem in () if quiet else config.warnings:
        typer.echo(str(problem), err=True)
    return config


def _usual() -> Path:
    here = Path("config.yaml")
    if here.is_file():
        return here
    package = Path(__file__).parent.parent
    # In the wheel the example lies in the package; in a checkout at its top.
    example = next(
        path for path in (package / "config.example.yaml", package.parent / "config.example.yaml") if path.is_file()
    )
    typer.echo(f"no config.yaml here: using {example}", err=True)
    return example


@contextlib.contextmanager
def told() -> Iterator[None]:
    """An error as one line on standard error, and exit code 1."""
    try:
        yield
    except (GatewayError, ProviderError, StoreError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # whoever reads our output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        fail(str(error))


def fail(message: str, code: int = 1) -> NoReturn:
    """One line on standard error, and the end."""
    typer.echo(f"media-gateway: {message}", err=True)
    raise typer.Exit(code)


def print_rows(head: tuple[str, ...], rows: list[tuple[str, ...]], as_json: bool) -> None:
    """A table: for eyes on a terminal, with tabs in a pipe, or as JSON."""
    if as_json:
        typer.echo(json.dumps([dict(zip(head, row, strict=True)) for row in rows], ensure_ascii=False, indent=2))
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        for row in (head, *rows):
            typer.echo("\t".join(row))
