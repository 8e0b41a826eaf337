"""The command line: ``media-gateway serve``, ``check``, ``migrate``, ``models``, ``voices``, ``say``, ``pull``,
``keys``, ``spend``, ``version``.

Exit codes: 0 done, 1 it failed (the message says why), 2 the command line itself is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.keys import keys
from gateway.commands.migrate import migrate
from gateway.commands.shared import ConfigOption, JsonOption, fail, load, print_rows, told
from gateway.telemetry.logs import LogFormat, configure_logging
from gateway.version import __version__
from providers.base.errors import PullError

_log = logging.getLogger(__name__)

cli = typer.Typer(
    name="media-gateway",
    help="One OpenAI-compatible endpoint for media.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

cli.add_typer(keys)

LogOption = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def main() -> None:
    """The ``media-gateway`` command."""
    cli()


@cli.command()
def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 4000,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Serve everybody who can reach the address.")] = False,
    log_level: LogOption = "info",
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format", envvar="MEDIA_GATEWAY_LOG_FORMAT", help="Default: console, or what the config says."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "--num_workers",
            min=1,
            max=256,
            envvar=["MEDIA_GATEWAY_WORKERS", "NUM_WORKERS"],
            help="How many processes serve.",
        ),
    ] = 1,
) -> None:
    """Run the server."""
    from gateway.api.auth import is_loopback
    from gateway.commands.serve import serve_here, supervise
    from gateway.telemetry.redaction import secrets_of
    from gateway.workers.crew import place_of

    place = place_of()
    loaded = load(config, quiet=place is not None)
    form: LogFormat = log_format or ("json" if loaded.litellm.json_logs else "console")
    words = not loaded.litellm.turn_off_message_logging
    configure_logging(log_level, form, secrets=secrets_of(loaded), words=words)
    if loaded.general.master_key is None and not no_auth and not is_loopback(host):
        fail(
            f"refusing to listen on {host} without a key: anyone who reaches it could spend your money.\n"
            "Set general_settings.master_key in the config (or MEDIA_GATEWAY_MASTER_KEY in the environment), "
            "listen on 127.0.0.1, or pass --no-auth if something in front of it checks its callers."
        )
    if loaded.general.master_key is None and place is None:
        _log.warning("no master_key is set: whoever reaches %s may call without one", host)
    if place is None and workers > 1:
        options = ["--host", host, *(["--no-auth"] if no_auth else []), "--log-level", log_level, "--log-format", form]
        supervise(loaded, workers, (host, port), options)
    serve_here(loaded, (host, port), place, everybody=no_auth)


@cli.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The YAML config.")] = None, as_json: JsonOption = False
) -> None:
    """Check a config: print every fault in it, or the models it makes."""
    from gateway.services.deployments import mode

    loaded = load(file)
    print_rows(
        ("model", "provider", "deployment", "mode"),
        [
            *(
                (entry.model_name, entry.vendor, f"{entry.vendor}/{entry.model}", mode(entry))
                for entry in loaded.models
            ),
            *((alias, "", f"-> {target}", "alias") for alias, target in loaded.aliases.items()),
        ],
        as_json,
    )


cli.command()(migrate)


@cli.command()
def models(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the models, and whether each can answer."""
    configure_logging("error")

    async def rows() -> list[tuple[str, ...]]:
        from gateway.build import open_services

        async with open_services(load(config)) as services:
            return [
                (each.model, each.provider, each.readiness.state, each.readiness.detail, ", ".join(each.covered_by))
                for each in services.catalog.standings()
            ]

    print_rows(("model", "provider", "state", "detail", "fallback"), asyncio.run(rows()), as_json)


@cli.command()
def voices(
    config: ConfigOption = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only the voices of this model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the voices."""
    configure_logging("error")

    async def rows() -> list[tuple[str, ...]]:
        from gateway.build import open_services

        async with open_services(load(config)) as services:
            return [
                (voice.id, voice.name, voice.language, voice.gender, ", ".join(of))
                for voice, of in services.catalog.voices(model)
            ]

    with told():
        print_rows(("voice", "name", "language", "gender", "models"), asyncio.run(rows()), as_json)


@cli.command()
def say(  # noqa: PLR0913, PLR0917 - each is an option of the command
    text: Annotated[str | None, typer.Argument(help="What to say; '-' or nothing reads standard input.")] = None,
    config: ConfigOption = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Default: the config's first.")] = None,
    voice: Annotated[str, typer.Option("--voice", "-v")] = "alloy",
    format: Annotated[str | None, typer.Option("--format", "-f", help="mp3, opus, aac, flac, wav or pcm.")] = None,  # noqa: A002
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file, or '-' for standard output.")] = None,
    speed: Annotated[float, typer.Option(min=0.25, max=4.0)] = 1.0,
) -> None:
    """Speak a text into a file or a pipe, with no server running."""
    from engines.media import AudioFormat
    from gateway.saying import finish_wav
    from gateway.saying import say as speak
    from providers.base.contract import SpeechRequest

    configure_logging("warning")
    if text is None or text == "-":
        text = sys.stdin.read()
    if not text.strip():
        fail("there is nothing to say", 2)
    to_stdout = output is None or str(output) == "-"
    if to_stdout and sys.stdout.isatty():
        fail("standard output is a terminal: give a file with -o, or pipe the sound into a player", 2)
    suffix = "" if output is None else output.suffix.lstrip(".").lower()
    known = [each.value for each in AudioFormat]
    wished = format or (suffix if suffix in known else "mp3")
    if wished not in known:
        fail(f"unknown format {wished!r}: choose from {', '.join(known)}", 2)
    request = SpeechRequest(text, voice, AudioFormat(wished), speed)
    with told():
        if to_stdout:
            asyncio.run(speak(load(config), model, request, sys.stdout.buffer))
        else:
            assert output is not None
            with output.open("wb") as file:
                asyncio.run(speak(load(config), model, request, file))
                if request.format is AudioFormat.WAV:
                    finish_wav(file)


@cli.command()
def pull(
    model: Annotated[str, typer.Argument(help="A model with weights, such as kokoro-82m.")],
    to: Annotated[Path | None, typer.Option(help="A folder; default: the Hugging Face hub's cache.")] = None,
) -> None:
    """Download a local model and check every byte. Files that are there already are kept."""

    from providers.base import registry

    pullers = {name: vendor.pull[name] for vendor in map(registry.load, registry.names()) for name in vendor.pull}
    name = model.rpartition("/")[2]
    if name not in pullers:
        fail(f"{model!r} has nothing to download; models that have: {', '.join(sorted(pullers))}", 2)
    try:
        typer.echo(pullers[name](to, lambda line: typer.echo(line, err=True)))
    except PullError as error:
        fail(str(error))


@cli.command()
def spend(
    config: ConfigOption = None,
    by: Annotated[str, typer.Option(help="key, model, user, tag or day.")] = "model",
    since: Annotated[str | None, typer.Option(help="24h, 7d, 2w, or a day: 2026-11-21.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the calls have cost and used."""
    from gateway.data import DataFolder, data_folder
    from gateway.spending import SpendingError, print_spending

    form = "csv" if as_csv else "json" if as_json else "table"
    try:
        print_spending(DataFolder(data_folder(load(config).general)).ledger, by, since, form)
    except SpendingError as error:
        fail(str(error))


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


if __name__ == "__main__":
    main()
