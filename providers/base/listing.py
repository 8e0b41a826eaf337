"""What the vendors' records say, as a page: ``python -m providers.base.listing > docs/providers.md``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

from engines.media import AudioFormat
from providers.base import registry
from providers.base.price import Price
from providers.base.vendor import Facts, Vendor

_HEAD = """# Providers

Made of the vendors' records by `python -m providers.base.listing > docs/providers.md`. What their settings and options
do is in [config.md](config.md).

- **makes**: of a name with a `*` it is what lists say, unless `model_info.mode` says otherwise.
- **price**: in US dollars, for what is to be known before a call, and where the vendor does not report the cost itself.
  *About* is a hint: there is no fixed price, or nobody has compared it with a bill. What is unknown is never taken for
  nothing; the config can [set a price](costs.md).
- **formats**: those in which the vendor's own bytes are passed on. Every model that speaks can be heard in all six
  (mp3, opus, aac, flac, wav, pcm) and at every speed: the rest is made here.
- **streams**: whether the vendor sends sound while it still speaks. No word: it depends, or is not known.
- **limits**: of one call to the vendor. The gateway itself takes 4,096 characters of speech, and joins the parts of a
  text that is too long for Runway or for Cloud Text-to-Speech.
"""
_COLUMNS = ("model", "makes", "about", "price", "formats", "streams", "limits")
_MADE = {
    "audio_speech": "speech",
    "audio_transcription": "transcriptions",
    "image_generation": "pictures",
    "video_generation": "films",
}
_MILLION = 1_000_000


def page(names: Iterable[str]) -> str:
    """The Markdown of these vendors."""
    return "\n".join([_HEAD, *(_section(registry.load(name)) for name in names)])


def _section(vendor: Vendor) -> str:
    lines = [f"## {vendor.name}", ""]
    if vendor.docs:
        lines += [f"Its documentation: <{vendor.docs}>", ""]
    if vendor.env:
        looked_at = (
            f"`{key}`: {', '.join(f'`${name}`' for name in variables)}" for key, variables in vendor.env.items()
        )
        lines += [f"Where the config is silent, the environment is looked at: {'; '.join(looked_at)}.", ""]
    if vendor.bare:
        lines += [f"Its models may be named without `{vendor.name}/`.", ""]
    lines += [_row(_COLUMNS), _row("---" for _ in _COLUMNS)]
    return "\n".join([*lines, *(_row(_cells(vendor, name, facts)) for name, facts in vendor.models.items()), ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(vendor: Vendor, name: str, facts: Facts) -> tuple[str, ...]:
    streams = {True: "yes", False: "no", None: ""}[facts.streams]
    formats = ", ".join(each for each in AudioFormat if each in facts.formats)
    model, made = f"`{vendor.name}/{name}`", _MADE[facts.mode]
    return (
        model,
        made,
        facts.summary.removeprefix(made).removeprefix(", "),
        price(facts.price),
        formats,
        streams,
        facts.limits,
    )


def price(known: Price | None) -> str:
    """A price in words: what is counted, the exceptions, who says so and when."""
    if known is None:
        return "unknown"
    if known.per_call == 0 and not _units(known):
        return "free"
    rates = [
        f"{_usd(rate.usd)} where {', '.join(f'{name} is {_value(value)}' for name, value in rate.where.items())}"
        for rate in known.rates
    ]
    least = [f"at least {_usd(known.least)}"] if known.least else []
    step = [f"in steps of {_usd(known.step)}"] if known.step else []
    said = "; ".join([" + ".join(_units(known)), *rates, *least, *step])
    source = f"[source]({known.source})" if known.source.startswith("https://") else known.source
    about = "" if known.exact else "about "
    return f"{about}{said} ({', '.join(filter(None, (source, known.as_of)))})"


def _units(known: Price) -> list[str]:
    counted = (
        (known.per_call, 1, "a call"),
        (known.per_character, _MILLION, "a million characters"),
        (known.per_input_token, _MILLION, "a million tokens in"),
        (known.per_output_token, _MILLION, "a million tokens out"),
        (known.per_audio_second, 1, "a second of sound"),
        (known.per_image, 1, "a picture"),
        (known.per_pixel, _MILLION, "a million pixels"),
        (known.per_video_second, 1, "a second of film"),
    )
    return [f"{_usd(each * times)} {unit}" for each, times, unit in counted if each]


def _usd(amount: float) -> str:
    if math.isnan(amount):
        return "unknown"
    cents = f"{amount:,.2f}"
    return f"${cents if math.isclose(float(cents.replace(',', '')), amount) else f'{amount:.6g}'}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write(page(registry.names()))
