"""``media-gateway keys``: virtual keys, made and changed in the data folder, whether the server runs or not."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from gateway.commands.shared import ConfigOption, JsonOption, fail, load, print_rows, told
from gateway.config import Config
from gateway.data import DataFolder, data_folder
from gateway.keys.fields import KeyFields
from gateway.keys.key import VirtualKey, token_of
from gateway.keys.ring import Keyring
from gateway.keys.sqlite import SqliteKeyStore
from gateway.keys.store import KeyStore
from gateway.services.keys import KeyService, shown, shown_spend

T = TypeVar("T")

keys = typer.Typer(name="keys", help="Make, list and change virtual keys.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="KEY", help="The key's token or its alias.")]

# The options of `create` and `update`, which are the fields of a key: name in the field, type, option, what it says.
_OPTIONS: tuple[tuple[str, type[Any], str, str], ...] = (
    ("key_alias", str, "--alias", "A name for it; no two keys have the same."),
    ("models", list, "--model", "A model it may use, an alias, or the beginning of names: group/*. Repeatable."),
    ("max_budget", float, "--max-budget", "US dollars a period."),
    ("budget_duration", str, "--budget-duration", "The period of all budgets: 30d, 24h, 1mo."),
    ("rpm_limit", int, "--rpm", "Calls a minute."),
    ("max_parallel_requests", int, "--parallel", "Calls at once."),
    ("max_characters", int, "--max-characters", "Characters spoken a period."),
    ("max_audio_seconds", float, "--max-audio-seconds", "Seconds of speech a period."),
    ("max_images", int, "--max-images", "Pictures a period."),
    ("max_video_seconds", float, "--max-video-seconds", "Seconds of video a period."),
    ("duration", str, "--duration", "How long it is good for from now on: 30d; -1: for ever."),
    ("user_id", str, "--user", "Whose it is: kept and shown."),
    ("team_id", str, "--team", "Kept and shown."),
    ("tags", list, "--tag", "Repeatable."),
)
_NONE = "none"


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with ``_OPTIONS`` behind its own parameters; it gets them as ``**given``."""
    signature = inspect.signature(command, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            # Numbers are read in `_fields`: instead of one there may be `none`.
            annotation=Annotated[
                list[str] | None if kind is list else str | None, typer.Option(option, metavar=kind.__name__, help=text)
            ],
        )
        for name, kind, option, text in _OPTIONS
    ]
    every = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *options]
    command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in every}
    return command


@keys.command("create")
@_with_fields
def create(config: ConfigOption = None, as_json: JsonOption = False, **given: Any) -> None:
    """Make a key, and print it: this once."""
    fields = _fields(given)

    async def run(service: KeyService) -> dict[str, Any]:
        made = await service.generate(fields)
        return {"key": made.key, **shown(made.record)}

    row = _run(config, run)
    if as_json:
        typer.echo(json.dumps(row, ensure_ascii=False, indent=2))
    else:
        typer.echo(row["key"])
        typer.echo(f"token {row['token']}; the key is not shown again", err=True)


@keys.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All keys, and what each has spent in its period."""

    async def run(service: KeyService) -> list[dict[str, Any]]:
        return [shown_spend(await service.known(each)) for each in await service.everyone()]

    rows = _run(config, run)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    head = ("alias", "name", "token", "state", "models", "expires", "spend")
    print_rows(
        head,
        [
            (
                each["key_alias"] or "",
                each["key_name"],
                each["token"],
                "blocked" if each["blocked"] else "",
                ", ".join(each["models"]) or "all",
                each["expires"] or "",
                f"{each['spend']:.4f}" + (f" + {each['unpriced_calls']} unpriced" if each["unpriced_calls"] else ""),
            )
            for each in rows
        ],
        as_json=False,
    )


@keys.command("show")
def show(key: Named, config: ConfigOption = None) -> None:
    """One key and what it has spent, as JSON."""

    async def run(service: KeyService) -> dict[str, Any]:
        return shown_spend(await service.known(await _found(service, key)))

    typer.echo(json.dumps(_run(config, run), ensure_ascii=False, indent=2))


@keys.command("update")
@_with_fields
def update(key: Named, config: ConfigOption = None, **given: Any) -> None:
    """Change what is given; `none` lifts a limit."""
    fields = _fields(given)
    if not fields.model_fields_set:
        fail("there is nothing to change: give an option", 2)
    _changed(config, key, lambda service, token: service.update(token, fields))


@keys.command("block")
def block(key: Named, config: ConfigOption = None) -> None:
    """Refuse a key from now on. A running server sees it within a second."""
    _changed(config, key, lambda service, token: service.block(token, blocked=True))


@keys.command("unblock")
def unblock(key: Named, config: ConfigOption = None) -> None:
    """Take a key again."""
    _changed(config, key, lambda service, token: service.block(token, blocked=False))


@keys.command("delete")
def delete(key: Named, config: ConfigOption = None) -> None:
    """Forget a key."""

    async def run(service: KeyService) -> str:
        return (await service.delete([(await _found(service, key)).token], []))[0]

    typer.echo(f"deleted {_run(config, run)}")


def _changed(config: Any, key: str, change: Callable[[KeyService, str], Awaitable[VirtualKey]]) -> None:
    async def run(service: KeyService) -> VirtualKey:
        return await change(service, (await _found(service, key)).token)

    typer.echo(json.dumps(shown(_run(config, run)), ensure_ascii=False, indent=2))


async def _found(service: KeyService, named: str) -> VirtualKey:
    """By alias first: an alias may look like anything."""
    aliased = next((each for each in await service.everyone() if each.key_alias == named), None)
    return aliased or await service.find(named)


def _fields(given: dict[str, Any]) -> KeyFields:
    fields = {name: None if value == _NONE else value for name, value in given.items() if value not in (None, [])}
    for name, kind, option, _ in _OPTIONS:
        if fields.get(name) == [_NONE]:
            fields[name] = []
        elif kind in (int, float) and fields.get(name) is not None:
            try:
                fields[name] = kind(fields[name])
            except ValueError:
                fail(f"{option}: must be a number, or {_NONE}", 2)
    try:
        return KeyFields.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        option = next(option for name, _, option, _ in _OPTIONS if name == fault["loc"][0])
        fail(f"{option}: {str(fault['msg']).removeprefix('Value error, ')}", 2)


def _run(path: Any, work: Callable[[KeyService], Awaitable[T]]) -> T:
    """``work`` on the keys of the config's data folder."""
    config = load(path)

    async def run() -> T:
        ring = _ring(config)
        try:
            key = config.general.master_key
            return await work(KeyService(ring, None if key is None else token_of(key.get_secret_value())))
        finally:
            await ring.close()

    with told():
        return asyncio.run(run())


def _ring(config: Config) -> Keyring:
    path = DataFolder(data_folder(config.general)).keys

    async def there() -> bool:
        return True

    async def store() -> KeyStore:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return await asyncio.to_thread(SqliteKeyStore, path)

    return Keyring(there, store)
