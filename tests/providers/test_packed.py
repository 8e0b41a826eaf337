"""Base64 is read as strictly as the standard library reads it."""

import base64

import pytest

from providers.base.packed import unpacked


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100, 40_000])
def test_what_was_packed(size: int) -> None:
    data = bytes(range(256)) * 200
    assert unpacked(base64.b64encode(data[:size]).decode()) == data[:size]


def test_bits_that_are_left_over() -> None:
    assert unpacked("QR==") == b"A"


@pytest.mark.parametrize("text", ["Q", "QQ", "QQ=", "QQ==QQ==", "QQ==\n", "Q Q=", "-_-_", "+A-_", "é", "\ud800"])
def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the standard library's words
        unpacked(text)
