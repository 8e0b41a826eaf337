"""What Open WebUI sends for speech, pictures and voice input, written after its source (0.12)."""

from __future__ import annotations

import base64
import sys

import httpx
from trying import BASE, KEY, TEXT, Trying, hear, picture, recording, see

tried = Trying("Open WebUI (its requests)", told="0.12")
ANONYMOUS = {"Content-Type": "application/json"}
KEYED = {**ANONYMOUS, "Authorization": f"Bearer {KEY}"}
USER = {"X-OpenWebUI-User-Name": "Ann", "X-OpenWebUI-User-Id": "1", "X-OpenWebUI-User-Role": "user"}


def main() -> None:
    with httpx.Client(timeout=60) as client:
        with tried("models", "GET /audio/models, no key"):
            found = client.get(f"{BASE}/audio/models", headers=ANONYMOUS).raise_for_status().json()
            assert {"tts-1", "gpt-4o-mini-tts"} <= {each["id"] for each in found["models"]}
        with tried("models", "GET /audio/voices, no key"):
            found = client.get(f"{BASE}/audio/voices", headers=ANONYMOUS).raise_for_status().json()
            assert {"alloy", "marin"} <= {each["id"] for each in found["voices"] if each["name"]}
        with tried("models", "GET /models with a key"):
            found = client.get(f"{BASE}/models", headers=KEYED).raise_for_status().json()
            assert {"gpt-image-1", "tts-1"} <= {each["id"] for each in found["data"]}
        for model in ("tts-1", "gpt-4o-mini-tts"):
            with tried("speech", f"POST /audio/speech {model}"):
                asked = {"model": model, "input": TEXT, "voice": "alloy"}
                made = client.post(f"{BASE}/audio/speech", headers={**KEYED, **USER}, json=asked).raise_for_status()
                assert made.headers["content-type"] == "audio/mpeg"
                hear(made.content, "mp3")
        with tried("speech", "POST /audio/speech with response_format of its parameters"):
            asked = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "opus", "speed": 1.25}
            made = client.post(f"{BASE}/audio/speech", headers=KEYED, json=asked).raise_for_status()
            assert made.headers["content-type"].startswith("audio/ogg")
            hear(made.content, "opus")
        with tried("images", "POST /images/generations gpt-image-1"):
            asked = {"model": "gpt-image-1", "prompt": "A ship", "n": 1, "size": "1024x1024"}
            made = client.post(f"{BASE}/images/generations", headers={**KEYED, **USER}, json=asked)
            see(base64.b64decode(made.raise_for_status().json()["data"][0]["b64_json"]), "png", (1024, 1024))
        with tried("images", "POST /images/generations response_format=b64_json"):
            asked = {
                "model": "dall-e-3",
                "prompt": "A ship",
                "n": 1,
                "size": "1024x1024",
                "response_format": "b64_json",
            }
            made = client.post(f"{BASE}/images/generations", headers=KEYED, json=asked)
            see(base64.b64decode(made.raise_for_status().json()["data"][0]["b64_json"]), "png", (1024, 1024))
        with tried("images", "an answer by url, fetched with the key"):
            made = client.post(
                f"{BASE}/images/generations", headers=KEYED, json={"model": "dall-e-3", "prompt": "A ship", "n": 1}
            )
            url = made.raise_for_status().json()["data"][0]["url"]
            see(
                client.get(url, headers={"Authorization": f"Bearer {KEY}"}).raise_for_status().content,
                "png",
                (1024, 1024),
            )
        bearer = {"Authorization": f"Bearer {KEY}"}
        for name, count in (("image", 1), ("image[]", 2)):
            with tried("image edits", f"POST /images/edits {name}"):
                files = [(name, (f"{number}.png", picture(), "image/png")) for number in range(count)]
                asked = {"model": "gpt-image-1", "prompt": "At night", "n": "1", "size": "1024x1024"}
                made = client.post(f"{BASE}/images/edits", headers=bearer, data=asked, files=files)
                see(base64.b64decode(made.raise_for_status().json()["data"][0]["b64_json"]), "png", (1024, 1024))
        with tried("transcriptions", "POST /audio/transcriptions"):
            file = {"file": ("speech.wav", recording())}
            asked = {"model": "whisper-1", "language": "en"}
            made = client.post(f"{BASE}/audio/transcriptions", headers=bearer, data=asked, files=file)
            assert made.raise_for_status().json()["text"]
        with tried("errors", "error.message of a wrong model"):
            asked = {"model": "nobody", "input": TEXT, "voice": "alloy"}
            made = client.post(f"{BASE}/audio/speech", headers=KEYED, json=asked)
            assert made.status_code == 404
            assert "nobody" in made.json()["error"]["message"]


if __name__ == "__main__":
    sys.exit(main())
