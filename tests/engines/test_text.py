"""Where a text is cut for speech, and that nothing of it is lost."""

from __future__ import annotations

import random

import pytest

from engines.text import pieces, within

LONG = "It was late. The old clock, which had stood there for a century, struck twelve; nobody heard it. "


def cut(text: str, *limits: int) -> list[str]:
    return list(pieces(text, limits or (60, 120)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n ", []),
        ("Hello.", ["Hello."]),
        ("One sentence that is short enough to stay whole.", ["One sentence that is short enough to stay whole."]),
        (
            "A first sentence of some length. And a second one, which is longer than the first.",
            ["A first sentence of some length.", "And a second one, which is longer than the first."],
        ),
        (
            "When the clause ends here, the sound can begin while the rest of the sentence is made.",
            ["When the clause ends here,", "the sound can begin while the rest of the sentence is made."],
        ),
        ("The fox jumped over the lazy dog, OK?", ["The fox jumped over the lazy dog, OK?"]),
        (
            "She climbed the worn and winding stairs of the tower each evening, carrying a lamp and a book to read.",
            [
                "She climbed the worn and winding stairs of the tower each evening,",
                "carrying a lamp and a book to read.",
            ],
        ),
    ],
)
def test_first_pieces(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@pytest.mark.parametrize("stop", ["Dr. Who", "3.14 m", "e.g. this", "the U.S. navy", "at 5 p.m. sharp", "J. Smith"])
def test_a_full_stop_that_ends_no_sentence(stop: str) -> None:
    text = f"We have known for a very long time about {stop} and the others who came along with it."
    assert not any(piece.endswith(stop.split()[-2]) for piece in cut(text, 60, 60))


def test_later_pieces_end_at_sentences_where_they_can() -> None:
    found = cut(LONG * 10, 60, 120)
    assert found[0] == "It was late. The old clock,"
    assert all(piece[-1] in ".;," for piece in found)
    assert sum(piece.endswith(".") for piece in found) > len(found) / 2


def test_other_scripts() -> None:
    assert cut("今日は天気がいいです。明日は雨が降るでしょう、たぶん。", 12, 12) == [
        "今日は天気がいいです。",
        "明日は雨が降るでしょう、たぶん。",
    ]
    assert cut("我们今天去公园，然后回家吃饭。明天再见！", 9, 9) == ["我们今天去公园，", "然后回家吃饭。明天再见！"]


def test_nothing_is_lost_and_limits_hold() -> None:
    chance = random.Random(7)
    letters = "abcde     .,;:!?…—\n\"')]。、é好\t🙂0123456789"
    for _ in range(3000):
        text = "".join(chance.choice(letters) for _ in range(chance.randrange(300)))
        limits = [chance.randrange(3, 60) for _ in range(chance.randrange(1, 4))]
        found = cut(text, *limits)
        assert "".join("".join(found).split()) == "".join(text.split())
        for place, piece in enumerate(found):
            assert piece.strip() == piece
            assert 0 < len(piece) <= limits[min(place, len(limits) - 1)] * 1.5 + 1


def test_control_characters_become_spaces() -> None:
    assert cut("one\x00two\x1bthree") == ["one two three"]


STORY = " ".join(f"This is sentence number {number}, and it is spoken calmly." for number in range(60))


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        STORY.replace("spoken", "\N{GRINNING FACE}" * 9),
        "这是一个很长的句子。" * 300,
        "word " * 900,
        "x" * 3000,
        "\N{GRINNING FACE}" * 1100,
    ],
)
def test_pieces_within_a_hard_limit(text: str) -> None:
    found = list(within(text, 1000))
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert max(map(units, found)) <= 1000
    assert len(found) <= 2 * (units(text) // 1000 + 1)


def test_they_end_where_sentences_do_and_are_few() -> None:
    found = list(within(STORY, 1000))
    assert " ".join(found) == STORY
    assert all(piece.endswith(".") for piece in found)
    assert len(found) == -(-len(STORY) // 1000)


def test_what_fits_stays_as_it_is() -> None:
    assert list(within(" Hello.  There. ", 10)) == ["Hello.", "There."]
    assert list(within(" Hello.  There. ", 16)) == [" Hello.  There. "]
    assert list(within("", 10)) == []
    assert list(within("\N{GRINNING FACE}" * 2, 1)) == ["\N{GRINNING FACE}"] * 2
