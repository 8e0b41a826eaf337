"""What there is, in the shapes that clients read."""

from __future__ import annotations

import httpx
import openai

from tests.serving import Running


def test_models_through_the_sdk(espeak_server: Running) -> None:
    with openai.OpenAI(base_url=f"{espeak_server.base}/v1", api_key="unused") as client:
        models = list(client.models.list())
        assert [model.id for model in models] == ["espeak", "robot", "lenient", "absent", "absent-too", "tts-1"]
        assert {model.object for model in models} == {"model"}
        assert {model.owned_by for model in models} == {"local"}
        assert all(model.created > 1_700_000_000 for model in models)
        assert client.models.retrieve("tts-1").id == "tts-1"
        assert client.models.retrieve("local/espeak").id == "espeak"


def test_voices_as_open_webui_reads_them(espeak_server: Running) -> None:
    for path in ("/v1/audio/voices", "/audio/voices"):
        voices = httpx.get(espeak_server.base + path).json()["voices"]
        assert all(voice["id"] and voice["name"] for voice in voices)
        by_id = {voice["id"]: voice for voice in voices}
        assert len(by_id) == len(voices)
        assert {"espeak", "robot"} <= set(by_id["alloy"]["models"])
        assert by_id["af_heart"] == {
            "id": "af_heart",
            "name": by_id["af_heart"]["name"],
            "language": "en-US",
            "gender": "female",
            "models": ["absent", "absent-too"],
        }


def test_voices_of_one_model(espeak_server: Running) -> None:
    def ids(model: str) -> list[str]:
        answer = httpx.get(f"{espeak_server.base}/v1/audio/voices", params={"model": model})
        return [voice["id"] for voice in answer.json()["voices"]]

    assert "pt-br" in ids("espeak")
    assert "af_heart" not in ids("espeak")
    assert len([voice for voice in ids("tts-1") if "_" in voice]) == 54
    assert "alloy" in ids("tts-1")


def test_models_that_speak(espeak_server: Running) -> None:
    for path in ("/v1/audio/models", "/audio/models"):
        models = httpx.get(espeak_server.base + path).json()["models"]
        assert {"id": "espeak"} in models
        assert {"id": "tts-1"} in models


def test_health(espeak_server: Running) -> None:
    for path in ("/livez", "/health/liveliness", "/health/liveness"):
        assert httpx.get(espeak_server.base + path).json() == {"status": "alive"}
    for path in ("/readyz", "/health/readiness"):
        answer = httpx.get(espeak_server.base + path)
        assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert httpx.head(f"{espeak_server.base}/readyz").status_code == 200
    by_model = {each["model"]: each for each in httpx.get(f"{espeak_server.base}/readyz?verbose").json()["models"]}
    assert by_model["espeak"]["state"] == "ready"
    assert by_model["absent"]["state"] == "unavailable"
    assert "media-gateway" in by_model["absent"]["detail"]  # what to run, or to install
    assert by_model["absent"]["fallback"] == ["espeak"]
    assert by_model["absent-too"]["fallback"] == []


def test_the_schema_is_true(espeak_server: Running) -> None:
    schema = httpx.get(f"{espeak_server.base}/openapi.json").json()
    operation = schema["paths"]["/v1/audio/speech"]["post"]
    body = schema["components"]["schemas"]["CreateSpeechRequest"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CreateSpeechRequest")
    assert body["required"] == ["input"]  # and `model`, where more than one speaks
    assert set(body["properties"]) == {
        "model", "input", "voice", "instructions", "response_format", "speed", "stream_format", "guardrails",
        "cache",
    }  # fmt: skip
    assert body["properties"]["input"]["maxLength"] == 4096
    assert "audio/mpeg" in operation["responses"]["200"]["content"]
    for path, operations in schema["paths"].items():
        assert ("security" in str(operations)) == path.startswith(("/v1/", "/key/"))
    text = httpx.get(f"{espeak_server.base}/openapi.json").text
    assert "422" not in text
    assert "HTTPValidationError" not in text
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(schema["components"]["schemas"])
    assert httpx.get(f"{espeak_server.base}/docs").status_code == 200
