"""What SillyTavern, LibreChat and Home Assistant's openai_tts send, written after their sources: ``raw_others.py NAME``."""

from __future__ import annotations

import base64
import sys

import httpx
from trying import BASE, KEY, TEXT, Trying, hear, picture, see

SPEECH = f"{BASE}/audio/speech"
BEARER = {"Authorization": f"Bearer {KEY}"}


def silly_tavern(client: httpx.Client) -> None:
    tried = Trying("SillyTavern (its requests)", told="source")
    with tried("speech", "POST to the full address"):
        asked = {"input": TEXT, "response_format": "mp3", "voice": "alloy", "speed": 1, "model": "tts-1"}
        made = client.post(SPEECH, headers=BEARER, json=asked).raise_for_status()
        assert made.headers["content-type"] == "audio/mpeg"
        hear(made.content, "mp3")
    # Its "Bearer " with no key after it goes out without the blank: fetch trims values.
    with tried("errors", "no key ('Bearer ' and nothing): 401 with a message"):
        made = client.post(SPEECH, headers={"Authorization": "Bearer"}, json={"input": TEXT, "model": "tts-1"})
        assert made.status_code == 401
        assert "API key" in made.json()["error"]["message"]


def libre_chat(client: httpx.Client) -> None:
    tried = Trying("LibreChat (its requests)", told="source")
    with tried("speech", "POST to the full address, no response_format"):
        made = client.post(SPEECH, headers=BEARER, json={"input": TEXT, "model": "tts-1", "voice": "nova"})
        hear(made.raise_for_status().content, "mp3")
    with tried("speech", "with backend, which OpenAI does not know: 400 that names it"):
        asked = {"input": TEXT, "model": "tts-1", "voice": "nova", "backend": "piper"}
        made = client.post(SPEECH, headers=BEARER, json=asked)
        assert (made.status_code, made.json()["error"]["param"]) == (400, "backend"), made.text
    with tried("speech stream", "read as it comes"):
        asked = {"input": TEXT * 4, "model": "tts-1", "voice": "nova"}
        with client.stream("POST", SPEECH, headers=BEARER, json=asked) as made:
            made.raise_for_status()
            pieces = list(made.iter_bytes(2048))
        assert len(pieces) > 3
        hear(b"".join(pieces), "mp3")
    with tried("images", "POST /images/generations gpt-image-1: b64_json"):
        asked = {
            "model": "gpt-image-1",
            "prompt": "A ship",
            "size": "1024x1024",
            "quality": "auto",
            "n": 1,
            "background": "auto",
        }
        made = client.post(f"{BASE}/images/generations", headers=BEARER, json=asked).raise_for_status()
        see(base64.b64decode(made.json()["data"][0]["b64_json"]), "png", (1024, 1024))
    with tried("image edits", "POST /images/edits image[]: b64_json"):
        files = [("image[]", ("a.png", picture(), "image/png")), ("image[]", ("b.png", picture(), "image/png"))]
        asked = {"model": "gpt-image-1", "prompt": "Both", "size": "1024x1024", "quality": "auto", "n": "1"}
        made = client.post(f"{BASE}/images/edits", headers=BEARER, data=asked, files=files).raise_for_status()
        see(base64.b64decode(made.json()["data"][0]["b64_json"]), "png", (1024, 1024))


def home_assistant(client: httpx.Client) -> None:
    tried = Trying("Home Assistant openai_tts (its requests)", told="source")
    with tried("speech", "the check of its settings: input '.'"):
        asked = {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"}
        assert client.post(SPEECH, headers=BEARER, json=asked, timeout=10).status_code == 200
    for model in ("tts-1", "tts-1-hd", "gpt-4o-mini-tts"):
        with tried("speech", f"POST to the full address {model}"):
            asked = {"model": model, "input": TEXT, "voice": "shimmer", "response_format": "mp3", "speed": 1.0}
            made = client.post(SPEECH, headers=BEARER, json=asked, timeout=30).raise_for_status()
            hear(made.content, "mp3")
    with tried("speech", "with instructions"):
        asked = {
            "model": "gpt-4o-mini-tts",
            "input": TEXT,
            "voice": "shimmer",
            "response_format": "wav",
            "instructions": "Calmly.",
        }
        made = client.post(SPEECH, headers=BEARER, json=asked, timeout=30).raise_for_status()
        hear(made.content, "wav")
    with tried("errors", "a wrong key: 401"):
        made = client.post(SPEECH, headers={"Authorization": "Bearer sk-wrong"}, json={"model": "tts-1", "input": "."})
        assert made.status_code == 401


if __name__ == "__main__":
    with httpx.Client(timeout=60) as each:
        {"silly_tavern": silly_tavern, "libre_chat": libre_chat, "home_assistant": home_assistant}[sys.argv[1]](each)
