"""The clients that are run, and what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Client:
    """``program`` lies in the folder of its ``kind``; words after it are its arguments. ``requires`` is what pip installs for it; a Node program's packages
    stand in ``node/package.json``. ``notes`` go into docs/clients.md, one line each; ``seconds`` is its time limit."""

    name: str
    kind: Literal["python", "node"]
    program: str
    requires: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 180


_OPENAI_NOTES = ('`OpenAI(base_url="http://HOST:4000/v1", api_key=KEY)`, or `OPENAI_BASE_URL` and `OPENAI_API_KEY`.',)
_SOURCE = "It was not run: these are the requests that its source makes, sent with httpx."

CLIENTS: tuple[Client, ...] = (
    Client("openai-python", "python", "openai_sdk.py", ("openai",), _OPENAI_NOTES),
    Client(
        "openai-python-2.2",
        "python",
        "openai_sdk.py",
        ("openai==2.2.0",),
        ("2.2.0 is the first that has videos.", *_OPENAI_NOTES),
    ),
    Client(
        "openai-python-2.0",
        "python",
        "openai_sdk.py",
        ("openai==2.0.0",),
        ("2.0.0 is the oldest of the 2.x line; it has no videos yet.", *_OPENAI_NOTES),
    ),
    Client(
        "litellm",
        "python",
        "litellm_client.py",
        ("litellm",),
        (
            (
                '`litellm.speech(model="openai/tts-1", api_base="http://HOST:4000/v1", api_key=KEY, …)`, and likewise '
                "`image_generation`, `transcription`, `video_generation`."
            ),
            '`video_status`, `video_content`, `video_list` and `video_remix` want `custom_llm_provider="openai"` beside these.',
            "To leave the middle out: [migrating from LiteLLM](migrating-from-litellm.md).",
        ),
    ),
    Client(
        "openai-agents-voice",
        "python",
        "agents_voice.py",
        ("openai-agents[voice]",),
        (
            (
                '`OpenAITTSModel(model, openai_client=AsyncOpenAI(base_url="http://HOST:4000/v1", api_key=KEY))`, and '
                "`OpenAISTTModel` for what is heard."
            ),
            (
                "`VoicePipeline` with an `AudioInput` works whole; with a `StreamedAudioInput` it listens over OpenAI's realtime "
                "WebSocket, which this gateway does not have."
            ),
            (
                "It always sends `instructions`: a model that cannot follow them (eSpeak, Kokoro) needs "
                "`additional_drop_params: [instructions]`."
            ),
        ),
    ),
    Client(
        "livekit-plugins-openai",
        "python",
        "livekit_plugin.py",
        ("livekit-plugins-openai",),
        (
            '`openai.TTS(base_url="http://HOST:4000/v1", api_key=KEY, model=…)`, and `openai.STT(…, use_realtime=False)`.',
            "It asks for `stream_format: sse`, but for the names `tts-1` and `tts-1-hd`; both are answered.",
        ),
    ),
    Client(
        "openai-node",
        "node",
        "openai.mjs",
        notes=(
            '`new OpenAI({ baseURL: "http://HOST:4000/v1", apiKey: KEY })`, or `OPENAI_BASE_URL` and `OPENAI_API_KEY`.',
        ),
    ),
    Client(
        "vercel-ai",
        "node",
        "vercel_ai.mjs",
        notes=(
            '`createOpenAI({ baseURL: "http://HOST:4000/v1", apiKey: KEY })`, then `.speech`, `.image`, `.transcription`.',
        ),
    ),
    Client(
        "vercel-ai-compatible",
        "node",
        "openai_compatible.mjs",
        notes=(
            '`createOpenAICompatible({ name, baseURL: "http://HOST:4000/v1", apiKey: KEY })`; it has pictures only.',
        ),
    ),
    Client(
        "langchain-js",
        "node",
        "langchain.mjs",
        notes=('`new DallEAPIWrapper({ model, apiKey: KEY, baseUrl: "http://HOST:4000/v1" })`.',),
    ),
    Client("fetch-node", "node", "fetch.mjs", notes=("`fetch` with `Authorization: Bearer KEY`.",)),
    Client(
        "open-webui",
        "python",
        "raw_open_webui.py",
        ("httpx",),
        (
            _SOURCE,
            "Settings, Audio: engine OpenAI, API base URL `http://HOST:4000/v1`, and the key. Settings, Images: the same.",
            (
                "Its settings ask for `/audio/voices` and `/audio/models` without the key. With a master key these answer 401, and "
                "Open WebUI shows its own six voices and `tts-1`, `tts-1-hd`, unless the config says "
                "`public_routes: [/v1/audio/voices, /v1/audio/models]`, as here. Speaking works either way."
            ),
        ),
    ),
    Client(
        "sillytavern",
        "python",
        "raw_others.py silly_tavern",
        ("httpx",),
        (_SOURCE, "TTS, OpenAI Compatible: provider endpoint `http://HOST:4000/v1/audio/speech`, and the key."),
    ),
    Client(
        "librechat",
        "python",
        "raw_others.py libre_chat",
        ("httpx",),
        (
            _SOURCE,
            (
                "`speech.tts.openai`: `url: http://HOST:4000/v1/audio/speech`, `apiKey`, `model`, `voices`. Pictures: "
                "`IMAGE_GEN_OAI_BASEURL=http://HOST:4000/v1` and `IMAGE_GEN_OAI_API_KEY`."
            ),
            (
                "`backend`, where it is set, is refused by models that do not know it: leave it out, or name it in "
                "`additional_drop_params`."
            ),
        ),
    ),
    Client(
        "home-assistant",
        "python",
        "raw_others.py home_assistant",
        ("httpx",),
        (
            _SOURCE,
            "URL `http://HOST:4000/v1/audio/speech`, and the key.",
            "Its set-up speaks with `tts-1` and `alloy` whatever you choose later: keep a model, or an alias, of that name.",
        ),
    ),
)
