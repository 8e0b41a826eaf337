"""The rules for texts: what they find, what they leave alone, and that no text keeps them busy."""

from __future__ import annotations

import random
import re
import socket
import unicodedata

import pytest

from gateway.policy.guards import Refusal, masked
from gateway.policy.guards.content import ContentFilter, Length
from gateway.policy.guards.folding import fold
from gateway.policy.guards.patterns import MOST_MATCHES, PREBUILT, BadPattern, Pattern
from gateway.policy.guards.pii import Pii, recognizers
from gateway.policy.guards.words import Words

LONG = 32_000
ATTACKS = ["a" * LONG + "!", "\u0315\u0316" * LONG, "a\u0315" * LONG, "\ufdfa" * LONG, "ab" * LONG, " " * LONG]


def content(block: tuple[str, ...] = (), mask: tuple[str, ...] = (), **patterns: object) -> ContentFilter:
    return ContentFilter(Words(block), Words(mask), "[…]", **patterns)


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("ass", "class assess an ASS.", ["ASS"]),
        ("ass", "_ass ass_ass 4ass", []),
        ("make a bomb", "Make  A\n\tBomb!", ["Make  A\n\tBomb"]),
        ("straße", "STRASSE Straße", ["STRASSE", "Straße"]),
        ("café", "cafe\u0301 CAFÉ cafe", ["cafe\u0301", "CAFÉ"]),
        ("bad", "ｂａｄ 𝐛𝐚𝐝 b\u200ba\u00add\ufe0f", ["ｂａｄ", "𝐛𝐚𝐝", "b\u200ba\u00add"]),
        ("爆弾", "この爆弾だ", ["爆弾"]),
        ("욕설", "욕설이 욕설".replace("욕", unicodedata.normalize("NFD", "욕")), None),
        ("c++", "I like C++, not C+", ["C++"]),
        ("he", "she HE hers", ["HE"]),
        ("a b", "a b b a a b", ["a b", "a b"]),
    ],
)
def test_words(word: str, text: str, found: list[str] | None) -> None:
    spans = [text[start:end] for start, end in Words([word]).find(fold(text, words=True))]
    assert (spans == found) if found is not None else len(spans) == 2


def test_words_within_words_are_all_found() -> None:
    words = ["she", "he", "hers", "she sells", "sells shells", "shells"]
    text = "She sells shells; he, hers."
    found = {text[start:end].lower() for start, end in Words(words).find(fold(text, words=True))}
    assert found == {"she", "he", "hers", "she sells", "sells shells", "shells"}


@pytest.mark.parametrize(
    "text", ["Plain text.", "Ｆｕｌｌ ﬁnd e\u0301 \u200b", "한글 ᄒ\u1161\u11ab é\u0316\u0315", ""]
)
def test_folding_is_unicode_s_and_knows_the_way_back(text: str) -> None:
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    folded = fold(text, words=False)
    assert folded.text == unicodedata.normalize("NFKC", seen)
    for place in range(len(folded.text)):
        start, end = folded.span(place, place + 1)
        assert folded.text[place] in unicodedata.normalize("NFKC", text[start:end])


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: f"{text[:2]!a}")
def test_no_text_keeps_the_words_busy(text: str) -> None:
    assert list(Words(["aaaaaaaab", "a" * 500, "ab ab"]).find(fold(text, words=True))) == []


def test_all_that_a_search_word_by_word_would_find() -> None:
    rng = random.Random(1)
    for _ in range(300):
        words = {"".join(rng.choices("ab", k=rng.randint(1, 4))) for _ in range(6)}
        words |= {"".join(rng.choices("爆弾", k=rng.randint(1, 4))) for _ in range(6)}
        text = "".join(rng.choices("ab 爆弾", weights=(4, 4, 1, 3, 3), k=40)).strip()
        folded = fold(text, words=True)
        expected = set()
        for word in words:
            whole = rf"(?=(?<![ab])({word})(?![ab]))" if word.isascii() else rf"(?=({word}))"
            expected |= {folded.span(*match.span(1)) for match in re.finditer(whole, folded.text)}
        assert set(Words(words).find(folded)) == expected


def test_masking() -> None:
    assert masked("abcdef", [(1, 2, "X"), (4, 6, "Y")]) == "aXcdY"
    assert masked("abcdef", [(2, 5, "late"), (0, 3, "first"), (4, 5, "in")]) == "firstf"
    assert masked("abc", []) == "abc"
    guard = content(mask=("secret", "top secret"))
    assert guard("It is Top  Secret, this sécret") == "It is […], this sécret"
    with pytest.raises(Refusal) as caught:
        content(block=("secret",), mask=("x",))("x is secret")
    assert str(caught.value) == ""


def test_length() -> None:
    assert Length(5)("äöü😀.") == "äöü😀."
    with pytest.raises(Refusal, match=r"it has 6 characters, and may have 5"):
        Length(5)("abcdef")


class TestPatterns:
    """With RE2."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("re2")

    @pytest.mark.parametrize("text", ATTACKS, ids=lambda text: f"{text[:2]!a}")
    def test_no_text_keeps_them_busy(self, text: str) -> None:
        guard = content(blocked_patterns=[Pattern(r"(a+)+$"), Pattern(r"(a|a)*c"), Pattern(r"(\w+\s?)+:$")])
        assert guard(text) == text

    def test_refusing_and_masking(self) -> None:
        guard = content(
            blocked_patterns=[Pattern(r"PROJECT-\d{6}")], hidden_patterns=[(Pattern(r"\b[A-Z]{3}-\d{4}\b"), "[ID]")]
        )
        assert guard("é abc-1234 und ＸＹＺ-０００１, ABC-12345") == "é [ID] und [ID], ABC-12345"
        with pytest.raises(Refusal):
            guard("about pro\u200bject-123456")

    def test_more_than_can_be_masked_is_refused(self) -> None:
        guard = content(hidden_patterns=[(Pattern("x.*y|x"), "[…]")])
        assert guard("x" * MOST_MATCHES) == "[…]" * MOST_MATCHES
        with pytest.raises(Refusal, match="too much"):
            guard("x" * LONG)

    @pytest.mark.parametrize("wrong", ["(", r"(?=a)", r"(a)\1", "a*", "", "x{1,2000}"])
    def test_what_is_no_pattern(self, wrong: str) -> None:
        with pytest.raises(BadPattern):
            Pattern(wrong)

    @pytest.mark.parametrize(
        ("name", "good", "bad"),
        [
            ("us_ssn", "123-45-6789", "123-456-789"),
            ("email", "user.name+tag@mail.example.com", "user@host"),
            ("phone", "+1-555-123-4567", "12-34"),
            ("visa", "4532-1234-5678-9010", "5532-1234-5678-9010"),
            ("mastercard", "5425-2334-3010-9903", "4425-2334-3010-9903"),
            ("amex", "3782-822463-10005", "3682-822463-10005"),
            ("aws_access_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSF"),
            ("aws_secret_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
            ("github_token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7"),
        ],
    )
    def test_prebuilt(self, name: str, good: str, bad: str) -> None:
        guard = content(hidden_patterns=[(Pattern(PREBUILT[name]), "[…]")])
        assert guard(f"so {good} it is") == "so […] it is"
        assert guard(f"so {bad} it is") == f"so {bad} it is"
        assert set(PREBUILT) >= {name}


class TestPii:
    """With Presidio."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("presidio_analyzer")

    def test_masking_and_refusing_with_no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no(*_: object) -> None:
            raise AssertionError("it looked for the network")

        monkeypatch.setattr(socket.socket, "connect", no)
        monkeypatch.setattr(socket, "getaddrinfo", no)
        guard = Pii({"EMAIL_ADDRESS": "MASK", "PHONE_NUMBER": "MASK", "CREDIT_CARD": "BLOCK"}, {})
        text = "Mail jo@example.co.uk or jo\u200be@example.com, call +1 212 555 0123, not x@y.nosuchending."
        assert guard(text) == ("Mail <EMAIL_ADDRESS> or <EMAIL_ADDRESS>, call <PHONE_NUMBER>, not x@y.nosuchending.")
        with pytest.raises(Refusal) as caught:
            guard("My card is 4111 1111 1111 1111.")
        assert str(caught.value) == "it holds personal data (CREDIT_CARD)"
        assert guard("My card is 4111 1111 1111 1112.").startswith("My card")  # its check digit is wrong

    def test_confidence(self) -> None:
        text = "call +1 212 555 0123"
        assert Pii({"PHONE_NUMBER": "MASK"}, {"PHONE_NUMBER": 0.9})(text) == text
        assert Pii({"PHONE_NUMBER": "MASK"}, {"ALL": 0.9})(text) == text
        assert Pii({"PHONE_NUMBER": "MASK"}, {"ALL": 0.9, "PHONE_NUMBER": 0.1})(text) == "call <PHONE_NUMBER>"

    def test_every_entity_but_names(self) -> None:
        listed = """CREDIT_CARD CRYPTO DATE_TIME EMAIL_ADDRESS IBAN_CODE IP_ADDRESS PHONE_NUMBER MEDICAL_LICENSE URL
            US_BANK_NUMBER US_DRIVER_LICENSE US_ITIN US_PASSPORT US_SSN UK_NHS UK_NINO UK_PASSPORT UK_POSTCODE ES_NIF
            ES_NIE IT_FISCAL_CODE IT_VAT_CODE PL_PESEL SG_NRIC_FIN AU_ABN AU_TFN IN_PAN IN_AADHAAR"""
        assert set(listed.split()) <= set(recognizers())
        assert not {"PERSON", "LOCATION", "NRP"} & set(recognizers())
