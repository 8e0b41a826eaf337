"""Kokoro's phonemes: nothing may be lost on the way from text to sound, whatever the text."""

from __future__ import annotations

import logging
import re
import shutil
import socket
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from engines import kokoro_g2p
from engines.errors import EngineUnavailable
from engines.kokoro_g2p import Phonemiser, spoken_form
from engines.text import pieces

needs_kokoro = pytest.mark.skipif(sys.version_info >= (3, 13), reason="the kokoro package needs Python below 3.13")
ONE_WORD_LOST = 12


@pytest.fixture(scope="module")
def phonemise() -> Phonemiser:
    return Phonemiser()


@pytest.fixture(scope="module")
def spacy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package ``en_core_web_sm``: the pipes that misaki uses, untrained."""
    spacy = pytest.importorskip("spacy", exc_type=ModuleNotFoundError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spaCy's plug-ins are imported here
        nlp = spacy.blank("en", meta={"name": "core_web_sm", "version": "0.0.0"})
    tiny = {"width": 8, "depth": 1, "embed_size": 50, "window_size": 1, "maxout_pieces": 2}
    embed = {"@architectures": "spacy.HashEmbedCNN.v2", "subword_features": False, "pretrained_vectors": None, **tiny}
    listen = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8}
    nlp.add_pipe("tok2vec", config={"model": embed})
    tagger = nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listen}})
    tagger.add_label("NN")
    nlp.initialize()
    site = tmp_path_factory.mktemp("site")
    package = site / "en_core_web_sm"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from spacy.util import load_model_from_init_py\n"
        "def load(**options):\n    return load_model_from_init_py(__file__, **options)\n"
    )
    nlp.to_disk(package / "en_core_web_sm-0.0.0")
    shutil.copy(package / "en_core_web_sm-0.0.0" / "meta.json", package)
    info = site / "en_core_web_sm-0.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: en_core_web_sm\nVersion: 0.0.0\n")
    return site


def count(phonemes: str) -> int:
    return len(re.sub(r"\W", "", phonemes))


def unstressed(phonemes: str) -> str:
    return re.sub(r"[ˈˌ ]", "", phonemes)


@needs_kokoro
@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("a", "Hello, world!", "həlˈO, wˈɜɹld!"),
        ("b", "Hello, world!", "həlˈQ, wˈɜːld!"),
        ("e", "¿Qué tal?", "¿kˈe tˈal?"),
        ("f", "Bonjour.", "bɔ̃ʒˈuʁ."),
        ("h", "नमस्ते", "nəmˈʌsteː"),
        ("i", "Ciao (bella).", "ʧˈao (bˈɛlla)."),
        ("p", "Olá!", "olˈa!"),
    ],
)
def test_each_language_is_phonemised_offline(
    phonemise: Phonemiser, monkeypatch: pytest.MonkeyPatch, language: str, text: str, expected: str
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert phonemise(language, text) == expected


@needs_kokoro
def test_american_without_spacy_keeps_to_the_phonemes_the_model_was_trained_on(phonemise: Phonemiser) -> None:
    from misaki.en import US_VOCAB

    heard = phonemise("a", "A little butter, a bottle of water and the air near the theatre for our tour, Roberta?")
    assert set(re.sub(r"[\s,.?]", "", heard)) <= {*US_VOCAB, "T"}  # T: misaki writes ɾ so for this model
    assert phonemise("b", "air near") == "ˈɛː nˈɪə"  # their vowels are as in misaki's British dictionary


@needs_kokoro
@pytest.mark.parametrize(("text", "words"), [("1,234", "1234"), ("3.5", "three point five"), ("10:30", "ten thirty")])
def test_a_number_with_marks_is_one_number(phonemise: Phonemiser, text: str, words: str) -> None:
    assert unstressed(phonemise("a", text)) == unstressed(phonemise("a", words))


@needs_kokoro
@pytest.mark.parametrize("language", ["a", "h"])
@pytest.mark.parametrize(
    "unit",
    ["7", "w", "x", "ñ", "ы", "न", "あ", "한", "€", "😀", "w3", "x1y2", "aé", "好", "1.", "no", "supercalifragilistic"],
)
def test_long_runs_without_spaces_are_phonemised_in_full(phonemise: Phonemiser, language: str, unit: str) -> None:
    fair = 25 * "7" if unit == "7" else 12 * unit  # short numbers are read as numbers, long ones digit by digit
    each = count(phonemise(language, fair)) / (len(fair) / len(unit))
    times = 120 // len(unit)
    if unit == "1.":  # a number of many parts, read as digits
        each = count(phonemise(language, "1 "))
    assert count(phonemise(language, unit * times)) >= 0.9 * each * times - ONE_WORD_LOST


def test_text_is_made_fit_for_speech() -> None:
    assert spoken_form("a\x00b\ud800c") == "a b c"
    assert spoken_form("Title\r\n  Body,\nmore\n") == "Title. Body, more"
    assert spoken_form("antidisestablishmentarianism") == "antidisestablishmentarianism"
    assert spoken_form("12345678901234567890 x") == "12345678901234567890 x"
    assert spoken_form("9" * 26).split() == ["9"] * 26


@needs_kokoro
@pytest.mark.parametrize("text", ["", " ", "\x00", "\u200b", "...", "—", "()"])
def test_text_without_words_has_no_phonemes(phonemise: Phonemiser, text: str) -> None:
    for language in "abe":
        assert count(phonemise(language, text)) == 0


@needs_kokoro
def test_spacy_tags_english_where_its_model_is_installed(spacy_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(spacy_model))
    assert kokoro_g2p.has_spacy_model()
    phonemise = Phonemiser()
    # The last two show that it is misaki: its dictionary, and its notation for a word's sound.
    assert phonemise("a", "Hello Zyxwq little [Kokoro](/kˈOkəɹO/)") == "həlˈO zˈɪksʊk lˈɪTᵊl kˈOkəɹO"
    assert phonemise("b", "air") == "ˈɛː"
    for piece in pieces("7" * 500 + " w" * 300 + "😀" * 100, (120,)):
        assert count(phonemise("a", piece)) > len(piece)


@needs_kokoro
def test_misaki_stumbling_over_a_text_leaves_it_to_espeak(spacy_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from misaki import en

    monkeypatch.syspath_prepend(str(spacy_model))
    monkeypatch.setattr(en.G2P, "__call__", lambda *_: [].pop())
    assert Phonemiser()("a", "Hello, world!") == "həlˈO, wˈɜɹld!"


@needs_kokoro
def test_a_spacy_model_of_the_wrong_version_is_no_disaster(
    spacy_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(spacy_model))
    (config,) = spacy_model.glob("*/*/config.cfg")
    whole = config.read_text()
    config.write_text("[nlp]\nlang = 'none'\n")
    assert Phonemiser()("a", "Hello.") == "həlˈO."
    config.write_text(whole)
    assert "eSpeak NG phonemises English instead" in caplog.text


@needs_kokoro
@pytest.mark.parametrize(("language", "name", "extra"), [("j", "Japanese", "ja"), ("z", "Mandarin", "zh")])
def test_a_language_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, language: str, name: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, f"misaki.{extra}", None)
    monkeypatch.delattr("misaki.ja", raising=False)
    monkeypatch.delattr("misaki.zh", raising=False)
    with pytest.raises(EngineUnavailable, match=name) as caught:
        Phonemiser().prepare(language)
    assert caught.value.hint == f'pip install "media-gateway[kokoro-{extra}]"'


@needs_kokoro
def test_japanese_and_mandarin_are_asked_of_misaki(monkeypatch: pytest.MonkeyPatch) -> None:
    import misaki

    ja = SimpleNamespace(JAG2P=lambda: lambda text: (f"ja {text}", None))
    zh = SimpleNamespace(ZHG2P=lambda: lambda text: (f"zh {text}", None))
    monkeypatch.setitem(sys.modules, "misaki.ja", ja)
    monkeypatch.setitem(sys.modules, "misaki.zh", zh)
    monkeypatch.setattr(misaki, "ja", ja, raising=False)
    monkeypatch.setattr(misaki, "zh", zh, raising=False)
    phonemise = Phonemiser()
    assert phonemise("j", "日本") == "ja 日本"
    assert phonemise("z", "你好") == "zh 你好"
    assert phonemise("z", "我说 hello world 。") == "zh 我说  həlˈO wˈɜɹld zh  。"
    assert phonemise("z", " ") == ""
    assert logging.getLogger("jieba").level == logging.WARNING


@needs_kokoro
def test_japanese_without_a_dictionary_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import misaki

    def fail() -> None:
        raise RuntimeError("Failed initializing MeCab")

    ja = SimpleNamespace(JAG2P=fail)
    monkeypatch.setitem(sys.modules, "misaki.ja", ja)
    monkeypatch.setattr(misaki, "ja", ja, raising=False)
    with pytest.raises(EngineUnavailable, match="MeCab") as caught:
        Phonemiser().prepare("j")
    assert "unidic" in caught.value.hint
