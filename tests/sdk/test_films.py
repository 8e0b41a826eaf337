"""Films listed, made again with another prompt, and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway import sdk
from tests.sdk.test_functions import account, ways
from tests.sdk.test_processes import run
from tests.upstreams.runway import Runway

Call = Callable[..., Any]


def finished(video: str) -> sdk.VideoObject:
    while (state := gateway.video_status(video)).status in ("queued", "in_progress"):
        pass
    return state


@ways
def test_films_are_listed_by_page_and_by_vendor(call: Call, runway: Runway) -> None:
    assert call("video_list") == []
    ids = [
        call("video_generation", f"Lake {number}", "scripted/errand", input_reference=None).id
        if number % 2
        else call("video_generation", f"Lake {number}", "runwayml/gen4.5", seconds=5, **account(runway)).id
        for number in range(4)
    ]
    newest = ids[::-1]
    assert [film.id for film in call("video_list")] == newest
    assert [film.prompt for film in call("video_list", order="asc", limit=3)] == ["Lake 0", "Lake 1", "Lake 2"]
    assert [film.id for film in call("video_list", after=newest[0], limit=2)] == newest[1:3]
    at_runway = call("video_list", custom_llm_provider="runwayml", limit=1)
    assert [film.id for film in at_runway] == [ids[2]]
    assert gateway.completion_cost(at_runway[0]) == pytest.approx(0.6)
    assert len(call("video_list", None, 2, custom_llm_provider="runwayml")) == 2
    for wrong, param in (
        ({"limit": 0}, "limit"),
        ({"order": "newest"}, "order"),
        ({"after": "video_no"}, "after"),
        ({"colour": "red"}, "colour"),
        ({"extra_headers": {"a": "b"}}, "extra_headers"),
    ):
        with pytest.raises(sdk.BadRequestError) as caught:
            call("video_list", **wrong)
        assert caught.value.param == param


@ways
def test_a_film_is_made_again_with_another_prompt(call: Call, runway: Runway) -> None:
    first = finished(call("video_generation", "A lake", "scripted/errand", seconds=3).id)
    again = call("video_remix", first.id, "A sea", timeout=60)
    assert (again.prompt, again.remixed_from_video_id, again.model) == ("A sea", first.id, "scripted/errand")
    assert finished(again.id).status == "completed"
    for wrong, param in (((first.id, ""), "prompt"), ((again.id + "0", "A sea"), "video_id")):
        with pytest.raises(sdk.APIError) as caught:
            call("video_remix", *wrong)
        assert caught.value.param == param
    with pytest.raises(sdk.BadRequestError, match="colour"):
        call("video_remix", first.id, "A sea", colour="red")
    other = finished(call("video_generation", "A lake", "runwayml/gen4.5", seconds=5, **account(runway)).id)
    with pytest.raises(sdk.BadRequestError, match=r"'runwayml/gen4\.5' cannot remix a video"):
        call("video_remix", other.id, "A sea")


@ways
def test_a_film_is_forgotten_and_one_that_is_made_is_cancelled(call: Call, runway: Runway) -> None:
    runway.seconds = 60
    running = call("video_generation", "A lake", "runwayml/gen4.5", seconds=5, **account(runway))
    gone = call("video_delete", running.id)
    assert (gone.id, gone.object, gone["deleted"]) == (running.id, "video.deleted", True)
    assert any(asked.method == "DELETE" for asked in runway.requests)
    with pytest.raises(sdk.NotFoundError):
        call("video_status", running.id)
    done = finished(call("video_generation", "A lake", "scripted/errand").id)
    assert call("video_delete", video_id=done.id).deleted
    assert call("video_list") == []


def test_films_of_services_that_were_closed_and_of_a_folder_that_another_process_has(folder: Path) -> None:
    first = finished(gateway.video_generation("A lake", "scripted/errand", seconds=3).id)
    sdk.close()
    again = gateway.video_remix(first.id, "A sea")
    assert (again.remixed_from_video_id, again.seconds, again.model) == (first.id, "3", "scripted/errand")
    look = """
import json
from gateway import sdk
films = sdk.video_list()
try:
    sdk.video_list(after="video_no")
except sdk.BadRequestError as error:
    param = error.param
try:
    sdk.video_delete(films[0].id)
except sdk.ServiceUnavailableError as error:
    print(json.dumps([[film.id for film in films], param, str(error)]))
"""
    ids, param, why = run(look, MEDIA_GATEWAY_DATA_DIR=str(folder))
    assert (ids, param) == ([again.id, first.id], "after")
    assert "is in use by another process" in why
