"""Who is asked for a model name, and in which order."""

from __future__ import annotations

import pytest

from gateway.errors import UnknownModel
from gateway.policy.routing import Candidate, Routes

ROUTES = Routes(
    {"a": ["a1", "a2"], "b": ["b1"], "c": ["c1"], "d": ["d1"]},
    {"alias": "a", "vendor/model": "b"},
    {"a": ["b", "alias", "c", "b"], "*": ["d"]},
)


def test_a_group_s_own_deployments_come_first_and_each_once() -> None:
    assert ROUTES.candidates("a") == [
        Candidate("a", "a1"),
        Candidate("a", "a2"),
        Candidate("b", "b1", "a"),
        Candidate("c", "c1", "a"),
    ]


def test_another_spelling_is_the_same_group() -> None:
    assert ROUTES.candidates("alias") == ROUTES.candidates("a")
    assert ROUTES.group("vendor/model") == "b"


def test_the_general_fallback_is_for_groups_without_their_own() -> None:
    assert ROUTES.candidates("b") == [Candidate("b", "b1"), Candidate("d", "d1", "b")]
    assert ROUTES.candidates("d") == [Candidate("d", "d1")]


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownModel, match="Did you mean 'alias'") as caught:
        ROUTES.candidates("alia")
    assert caught.value.param == "model"
    with pytest.raises(UnknownModel, match="lists the models") as caught:
        ROUTES.candidates("z" * 5000)
    assert len(str(caught.value)) < 400
