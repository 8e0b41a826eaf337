"""A vendor's refusals in our words, with nothing secret left in them."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from providers.base import errors
from providers.base.refusals import clean, refusal, retry_after


@pytest.mark.parametrize(
    ("status", "error", "answered"),
    [
        (400, errors.Refused, 400),
        (401, errors.UpstreamAuth, 502),
        (402, errors.OutOfCredits, 402),
        (403, errors.UpstreamAuth, 502),
        (404, errors.BadAnswer, 502),
        (405, errors.BadAnswer, 502),
        (408, errors.UpstreamTimeout, 504),
        (409, errors.Refused, 400),
        (413, errors.Refused, 400),
        (415, errors.Refused, 400),
        (422, errors.Refused, 400),
        (418, errors.BadAnswer, 502),
        (429, errors.RateLimited, 429),
        (500, errors.UpstreamDown, 502),
        (502, errors.UpstreamDown, 502),
        (503, errors.UpstreamDown, 502),
        (504, errors.UpstreamTimeout, 504),
        (529, errors.UpstreamDown, 502),
        (302, errors.BadAnswer, 502),
    ],
)
def test_a_status_has_its_error(status: int, error: type[errors.ProviderError], answered: int) -> None:
    refused = refusal("Vendor", status, {"retry-after": "7"}, "why it is")
    assert (type(refused), refused.status, refused.sent) == (error, answered, "yes")
    assert str(refused).startswith("Vendor")
    assert ("why it is" in str(refused)) is (error is not errors.UpstreamAuth)
    assert refused.falls_back is (error is not errors.Refused)
    assert refused.retryable is (error in (errors.RateLimited, errors.UpstreamDown, errors.UpstreamTimeout))
    assert refusal("Vendor", status, {}).retry_after is None
    assert str(refusal("Vendor", status, {})).endswith(".")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(2_000_000_000, usegmt=True)}, 3600.0),
        *(
            ({"retry-after": odd}, None)
            for odd in ("", "-1", "nan", "inf", "1e3", "soon", "٣", "Mon, 99 Foo 2026", "9" * 400)
        ),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, lambda: 1_000_000.0) == seconds


SECRET = "Zq8Zq8Zq8Zq8"
LONG = "a1B2c3D4e5F6a7B8c9D0e1F2"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: sk-{SECRET}.",
        f"sk-proj-{SECRET}-{SECRET}",
        f"key_{SECRET}{SECRET}",
        f"pk_live_{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"'Authorization': 'Bearer {SECRET}'",
        f"bearer {SECRET}",
        f"Basic {SECRET}==",
        f"https://cdn.example/o.mp4?_jwt={SECRET}.{SECRET}&x={SECRET}",
        f"https://cdn.example/o.mp4#{SECRET}",
        f"https://user:{SECRET}@cdn.example/",
        f"_jwt={SECRET}",
        f"x _jwt={SECRET}&b",
        f'{{"api_key": "{SECRET}"}}',
        f"xi-api-key={SECRET}",
        f"client_secret: {SECRET}",
        f"X-Amz-Signature={SECRET}",
        f"X-Amz-Security-Token={SECRET}",
        f"password={SECRET}",
        f"the key {LONG} is unknown",
        f"AIza{LONG}-_{LONG}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0{SECRET}.{LONG}",
        f"AKIA{LONG}",
    ],
)
def test_nothing_like_a_key_is_shown(text: str) -> None:
    for shown in (clean(text), clean(f"{text} " * 50), str(refusal("Vendor", 400, {}, text))):
        assert SECRET not in shown
        assert LONG not in shown
        assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "The prompt was rejected by our safety system.",
        "Could not find Task 3f0e8c1a-5d2b-4a77-9c61-0b7d5e2f8a10",
        "Your daily task limit has been reached.",
        "size must be one of 1024x1024, 1536x1024, auto",
        "Basic plans cannot use this model; see https://vendor.example/pricing",
        "A token limit of 4096 was exceeded",
        "counterrevolutionary internationalisation",
        "You do not have enough credits to run this task.",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert clean(text) == text


def test_a_message_is_one_short_line() -> None:
    shown = clean("a\x1b[31m\r\nb\u202e\u2028c\ud800\t\0" + " word" * 1000)
    assert shown.startswith("a [31m b c word")
    assert len(shown) == 500
    assert shown.isprintable()
    assert clean("") == clean(" \n") == ""


@pytest.mark.parametrize("run", ["é", "a", "a1", "-", "sk-", "key", "token="])
def test_long_messages_are_cleaned_in_no_time(run: str) -> None:
    for _ in range(100):  # minutes, where each character is looked at from each other one
        assert len(clean(run * 4000)) <= 500
