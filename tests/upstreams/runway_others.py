"""What RunwayML's API lets in for the models of other makers that it offers (``runway_rules`` has its own)."""

from __future__ import annotations

from tests.upstreams.runway_checks import PICTURE, WIDE, Check, array, either, frames, matching, one_of, record, sized

RATIOS = {
    "gpt_image_2": one_of(
        *(
            "2048:880 1920:1088 1920:1280 1920:1440 1920:1536 1920:1920 1536:1920 1440:1920 1280:1920 1088:1920 "
            "2912:1248 2560:1440 2560:1712 2560:1920 2560:2048 2560:2560 2048:2560 1920:2560 1712:2560 1440:2560 "
            "3840:1648 3840:2160 3504:2336 3264:2448 3200:2560 2880:2880 2560:3200 2448:3264 2336:3504 2160:3840 auto"
        ).split()
    ),
    "gemini_image3_pro": one_of(
        *(
            "1344:768 768:1344 1024:1024 1184:864 864:1184 1536:672 832:1248 1248:832 896:1152 1152:896 2048:2048 "
            "1696:2528 2528:1696 1792:2400 2400:1792 1856:2304 2304:1856 1536:2752 2752:1536 3168:1344 4096:4096 "
            "3392:5056 5056:3392 3584:4800 4800:3584 3712:4608 4608:3712 3072:5504 5504:3072 6336:2688"
        ).split()
    ),
    "gemini_image3.1_flash": one_of(
        *(
            "512:512 416:624 624:416 432:592 592:432 448:576 576:448 384:672 672:384 768:336 256:1024 1024:256 "
            "176:1408 1408:176 1024:1024 832:1248 1248:832 864:1184 1184:864 896:1152 1152:896 768:1344 1344:768 "
            "1536:672 512:2048 2048:512 352:2816 2816:352 2048:2048 1696:2528 2528:1696 1792:2400 2400:1792 1856:2304 "
            "2304:1856 1536:2752 2752:1536 3168:1344 1024:4096 4096:1024 704:5632 5632:704 4096:4096 3392:5056 "
            "5056:3392 3584:4800 4800:3584 3712:4608 4608:3712 3072:5504 5504:3072 6336:2688 2048:8192 8192:2048 "
            "1408:11264 11264:1408"
        ).split()
    ),
    "seedream5_pro": one_of(
        *(
            "1024:1024 1184:896 896:1184 1376:768 768:1376 1296:864 864:1296 2048:2048 2304:1728 1728:2304 2720:1530 "
            "1530:2720 2496:1664 1664:2496 auto_1k auto_2k"
        ).split()
    ),
    "seedream5_lite": one_of(
        *(
            "2048:2048 2304:1728 1728:2304 2848:1600 1600:2848 2496:1664 1664:2496 3136:1344 3072:3072 3456:2592 "
            "2592:3456 4096:2304 2304:4096 3744:2496 2496:3744 4704:2016"
        ).split()
    ),
    "gemini_2.5_flash": one_of(
        *("1344:768 768:1344 1024:1024 1184:864 864:1184 1536:672 832:1248 1248:832 896:1152 1152:896").split()
    ),
    "happyhorse_1_0": one_of(
        *("1280:720 720:1280 960:960 1108:832 832:1108 1920:1080 1080:1920 1440:1440 1662:1248 1248:1662").split()
    ),
    "seedance2": one_of(
        *(
            "992:432 864:496 752:560 640:640 560:752 496:864 1470:630 1280:720 1112:834 960:960 834:1112 720:1280 "
            "2206:946 1920:1080 1664:1248 1440:1440 1248:1664 1080:1920 3840:1646 3840:2160 3840:2880 3840:3840 "
            "2880:3840 2160:3840"
        ).split()
    ),
    "seedance2_fast": one_of(
        *(
            "992:432 864:496 752:560 640:640 560:752 496:864 1470:630 1280:720 1112:834 960:960 834:1112 720:1280"
        ).split()
    ),
    "seedance2_5": one_of(
        *(
            "992:432 854:480 752:560 640:640 560:752 480:854 1470:630 1280:720 1112:834 960:960 834:1112 720:1280"
        ).split()
    ),
    "hailuo3": one_of(*"adaptive 21:9 16:9 4:3 1:1 3:4 9:16".split()),
    "gemini_omni_flash": one_of(*WIDE),
}
RATIOS["seedance2_mini"] = RATIOS["seedance2_fast"]


def _asset(kind: str, longest: int = 16_777_216) -> Check:
    return either(
        matching("^https://.*", 13, 2048), matching("^runway://.*", 13, 5000), matching(f"^data:{kind}/.*", 13, longest)
    )


def _media(kind: str, most: int, *, strict: bool = False) -> Check:
    return array(record("type", "uri", strict=strict, type=one_of(kind), uri=_asset(kind)), 0, most)


def _pictures(most: int, *, strict: bool = True, **more: Check) -> Check:
    return array(record("uri", strict=strict, uri=PICTURE, **more), 0, most)


_TAG = matching("^[a-z][a-z0-9_]+$", 3, 16)
_SUBJECT = one_of("object", "human")
_COUNT = one_of(1, 4)


def _image(model: str, longest: int, *, strict: bool = True, **more: Check) -> Check:
    """``model`` itself is a field that a strict model knows."""
    fields = {"model": one_of(model), "promptText": sized("string", 1, longest), "ratio": RATIOS[model], **more}
    return record("model", "promptText", "ratio", strict=strict, **fields)


def _film(model: str, *required: str, strict: bool = True, text: int, seconds: tuple[int, int], **more: Check) -> Check:
    fields = {"model": one_of(model), "promptText": sized("string", 1, text), "duration": sized("integer", *seconds)}
    return record("model", *required, strict=strict, **fields, **more)


_FRAME = record("uri", uri=PICTURE, position=one_of("first", "last"))
_SEEDANCE: dict[str, tuple[int, tuple[int, int], int]] = {
    "seedance2": (3500, (4, 15), 3),
    "seedance2_fast": (3500, (4, 15), 3),
    "seedance2_mini": (3500, (4, 15), 3),
    "seedance2_5": (15_000, (4, 30), 10),
}


def _seedance(model: str, *, image: bool) -> Check:
    text, seconds, most = _SEEDANCE[model]
    both = {"ratio": RATIOS[model], "audio": sized("boolean"), "referenceAudio": _media("audio", most)}
    if image:
        start = either(PICTURE, array(_FRAME, 0, 2**20))
        return _film(model, "promptImage", text=text, seconds=seconds, promptImage=start, **both)
    more = {"references": _pictures(most * 3), "referenceVideos": _media("video", most)}
    needed = () if model == "seedance2_5" else ("promptText",)
    return _film(model, *needed, text=text, seconds=seconds, **both, **more)


_HAILUO = {
    "ratio": RATIOS["hailuo3"],
    "resolution": one_of("2K", "768P"),
    "referenceAudio": _media("audio", 3, strict=True),
}

OTHERS: dict[str, dict[str, Check]] = {
    "/v1/text_to_speech": {
        "seed_audio": record(
            "promptText",
            "model",
            strict=True,
            model=one_of("seed_audio"),
            promptText=sized("string", 1, 2048),
            voice=record("type", "audioUri", type=one_of("reference-audio"), audioUri=_asset("audio")),
            speechRate=sized("integer", -50, 100),
            loudnessRate=sized("integer", -50, 100),
            pitchRate=sized("integer", -12, 12),
            sampleRate=one_of(8000, 16000, 24000, 32000, 44100, 48000),
            outputFormat=one_of("wav", "mp3", "ogg_opus"),
        ),
    },
    "/v1/text_to_image": {
        "gpt_image_2": _image(
            "gpt_image_2",
            32_000,
            quality=one_of("low", "medium", "high", "auto"),
            background=one_of("opaque", "auto"),
            referenceImages=_pictures(16, tag=_TAG),
            outputCount=sized("integer", 1, 10),
        ),
        "gemini_image3_pro": _image(
            "gemini_image3_pro", 5500, referenceImages=_pictures(14, tag=_TAG, subject=_SUBJECT), outputCount=_COUNT
        ),
        "gemini_image3.1_flash": _image(
            "gemini_image3.1_flash",
            5500,
            strict=False,
            referenceImages=_pictures(14, strict=False, tag=_TAG, subject=_SUBJECT),
            outputCount=_COUNT,
        ),
        "gemini_2.5_flash": _image(
            "gemini_2.5_flash", 5500, strict=False, referenceImages=_pictures(3, strict=False, tag=_TAG)
        ),
        **{
            model: _image(
                model,
                4000,
                outputFormat=one_of("png", "jpeg"),
                referenceImages=_pictures(most),
                outputCount=sized("integer", 1, 4),
                grounding=sized("boolean"),
            )
            for model, most in (("seedream5_pro", 10), ("seedream5_lite", 14))
        },
    },
    "/v1/image_to_video": {
        "hailuo3": _film(
            "hailuo3",
            *("promptImage", "promptText"),
            text=6000,
            seconds=(5, 15),
            promptImage=either(PICTURE, array(lambda value, path: [], 1, 9)),
            **_HAILUO,
        ),
        "happyhorse_1_0": record(
            *("promptImage", "model"),
            strict=True,
            model=one_of("happyhorse_1_0"),
            promptText=sized("string", 2, 2500),
            promptImage=frames("first"),
            resolution=one_of("720P", "1080P"),
            duration=sized("integer", 3, 15),
        ),
        "gemini_omni_flash": _film(
            "gemini_omni_flash",
            "promptImage",
            strict=False,
            text=4000,
            seconds=(3, 10),
            promptImage=frames("first"),
            ratio=RATIOS["gemini_omni_flash"],
        ),
        **{model: _seedance(model, image=True) for model in _SEEDANCE},
    },
    "/v1/text_to_video": {
        "hailuo3": _film(
            "hailuo3",
            "promptText",
            text=6000,
            seconds=(5, 15),
            references=_pictures(9),
            referenceVideos=_media("video", 3, strict=True),
            **_HAILUO,
        ),
        "happyhorse_1_0": record(
            *("promptText", "model"),
            strict=True,
            model=one_of("happyhorse_1_0"),
            promptText=sized("string", 2, 2500),
            ratio=RATIOS["happyhorse_1_0"],
            duration=sized("integer", 3, 15),
        ),
        "gemini_omni_flash": _film(
            "gemini_omni_flash",
            "promptText",
            strict=False,
            text=4000,
            seconds=(3, 10),
            ratio=RATIOS["gemini_omni_flash"],
        ),
        **{model: _seedance(model, image=False) for model in _SEEDANCE},
    },
}
"""By endpoint, then by model."""

CREDITS = {
    "gemini_2.5_flash": 5, "gemini_image3_pro": 20, "gemini_image3.1_flash": 10, "gpt_image_2": 20,
    "seedream5_lite": 4, "seedream5_pro": 9,
    "seedance2": 36, "seedance2_fast": 29, "seedance2_mini": 16, "seedance2_5": 30, "hailuo3": 15,
    "gemini_omni_flash": 10, "happyhorse_1_0": 15,
}  # fmt: skip
"""A picture, or a second of film (where a price has several levels, one of them)."""
