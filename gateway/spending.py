"""``media-gateway spend``: sums of the ledger, read from its file; the server may be running."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, get_args

from gateway.keys.periods import duration
from gateway.ledger.row import Amounts, By, Filter
from gateway.ledger.store import sums

BY: tuple[str, ...] = get_args(By)


class SpendingError(Exception):
    """``str(error)`` is for the person at the keyboard."""


def spending(path: Path, by: str, since: str | None) -> list[Amounts]:
    """Sums of the ledger in ``path`` by one of ``BY``. ``since``: ``24h``, ``7d``, ``2w``, or a day of UTC."""
    if by not in BY:
        raise SpendingError(f"--by must be one of {', '.join(BY)}")
    which = Filter(since=None if since is None else _moment(since))
    if not path.is_file():
        raise SpendingError(f"there is no ledger at {path} yet")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return sums(db, by, which)  # type: ignore[arg-type]
    except sqlite3.Error as error:
        raise SpendingError(f"{path}: {error}") from error


def write(found: Sequence[Amounts], by: str, form: str, out: TextIO) -> None:
    """``form`` is ``csv``, ``json`` or ``table``. A sum of nothing known is empty, ``null`` or ``unknown``."""
    rows = [{by: row.pop("name"), **row} for row in map(asdict, found)]
    if form == "json":
        out.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    head = [by, *(name for name in asdict(Amounts()) if name != "name")]
    if form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(head)
        writer.writerows([_safe(value) for value in row.values()] for row in rows)
        return
    shown = [head, *([_told(name, value) for name, value in row.items()] for row in rows)]
    _table(shown, out)


def _table(rows: Iterable[Sequence[str]], out: TextIO) -> None:
    if out.isatty():
        from rich.console import Console
        from rich.table import Table

        head, *rest = rows
        table = Table(*head)
        for row in rest:
            table.add_row(*row)
        Console(file=out).print(table)
    else:
        out.writelines("\t".join(row) + "\n" for row in rows)


def _told(name: str, value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.6f}" if name == "usd" else f"{value:g}"
    return str(value) or "-"


def _safe(value: object) -> object:
    """A name that a spreadsheet would take for a formula is text: end users and tags are what callers send."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def _moment(since: str) -> float:
    with suppress(ValueError):
        length, unit = duration(since)
        return time.time() - (length if unit == "s" else length * 30 * 86_400)
    try:
        return datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SpendingError("--since must be such as 24h, 7d, 2w or 2026-11-21") from None


def print_spending(path: Path, by: str, since: str | None, form: str) -> None:
    """Both, on standard output."""
    write(spending(path, by, since), by, form, sys.stdout)
