"""Files that a request brings along: addresses that Runway fetches, its own uploads, or the bytes as a data URI.

Their rules: https://docs.dev.runwayml.com/assets/inputs.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

from engines.pictures import sniff_picture
from providers.base.contract import Reference
from providers.base.errors import Refused

Kind = Literal["image", "video", "audio"]

DATA_URI_LIMIT: dict[Kind, int] = {"image": 5_242_880, "video": 16_777_216, "audio": 16_777_216}
"""Characters of a file sent along as a data URI."""

_ADDRESS_LIMIT = {"https": 2048, "runway": 5000}
_PICTURES = ("image/png", "image/jpeg", "image/jpg", "image/webp")
_TAG = re.compile(r"[a-z][a-z0-9_]{2,15}")
_BESIDE = {"tag": "3 to 16 lower-case letters, digits and underscores, a letter first", "subject": "object or human"}


def asset(uri: object, param: str, kind: Kind = "image") -> str:
    """``uri`` as it was given. Raises ``Refused``, naming ``param``, for what Runway would not fetch or read."""
    text = uri if isinstance(uri, str) else ""
    scheme = text.partition(":")[0]
    if scheme == "data":
        media_type = text[5:100].partition(";")[0].partition(",")[0]
        if not media_type.startswith(f"{kind}/") or (kind == "image" and media_type not in _PICTURES):
            wanted = "a png, jpeg or webp picture" if kind == "image" else f"of a type {kind}/…"
            raise Refused(f"a data: URI in {param} must be {wanted}, not {media_type[:40]!r}", param=param)
        if len(text) > DATA_URI_LIMIT[kind]:
            most = f"{DATA_URI_LIMIT[kind]:,} characters (that is {DATA_URI_LIMIT[kind] * 3 / 4_000_000:.1f} MB)"
            raise Refused(f"a data: URI in {param} may have {most}; give an address instead", param=param)
        return text
    if not text.startswith(("https://", "runway://")) or len(text) < 13:
        raise Refused(f"{param} must be an address that begins with https://, or a data: URI", param=param)
    if len(text) > _ADDRESS_LIMIT[scheme]:
        raise Refused(f"an address in {param} may have {_ADDRESS_LIMIT[scheme]:,} characters", param=param)
    if scheme == "https" and not _named(text):
        raise Refused(f"the address in {param} must have the name of a host, not a number", param=param)
    return text


def _named(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    return False


def bytes_or_address(reference: Reference, param: str) -> str:
    """A reference in the contract's words: an address is passed on, bytes go along as a data URI."""
    if reference.url is not None:
        return asset(reference.url, param)
    media_type = sniff_picture(reference.data or b"")
    if media_type not in _PICTURES:
        raise Refused(f"{param} must be a png, jpeg or webp picture", param=param)
    return asset(f"data:{media_type};base64,{base64.b64encode(reference.data or b'').decode('ascii')}", param)


def listed(given: object, param: str, beside: Collection[str] = (), kind: Kind = "image") -> list[dict[str, object]]:
    """A list of ``{"uri": …}``, where each may also have what is in ``beside``. Raises ``Refused``."""
    if not isinstance(given, list):
        raise Refused(f'{param} must be a list of {{"uri": …}}', param=param)
    for place, each in enumerate(given):
        where = f"{param}[{place}]"
        if not isinstance(each, dict) or "uri" not in each:
            raise Refused(f'{where} must be {{"uri": …}}', param=param)
        for name, value in each.items():
            if name != "uri" and name not in beside:
                known = ", ".join(sorted({"uri", *beside}))
                raise Refused(f"{where} knows no {name!r}, only {known}", param=param)
            fits = {"tag": _TAG.fullmatch(str(value)), "subject": value in ("object", "human"), "type": value == kind}
            if not fits.get(name, True):
                raise Refused(f"the {name} of {where} must be {_BESIDE.get(name, repr(kind))}", param=param)
        asset(each["uri"], param, kind)
    return given
