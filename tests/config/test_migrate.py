"""``media-gateway migrate``: LiteLLM configs, what is said of them, and the copies that are written."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gateway.__main__ import cli
from gateway.config import Config, ConfigError, Problem, parse_config
from gateway.migration import Migration, migrate
from gateway.migration.draft import SIGN
from tests.config.fakes import CANARY
from tests.faces.test_litellm_configs import ENV, EXTRAS, FOLDER

MIXED = Path(__file__).parent / "mixed_proxy.yaml"
CONFIGS = [
    pytest.param(path, marks=EXTRAS if path.stem == "guardrails" else ()) for path in sorted(FOLDER.glob("*.yaml"))
]
MEDIA = """
model_list:
  - model_name: tts-1
    litellm_params: {model: local/espeak}
"""


def migrated(text: str, env: dict[str, str] | None = None, path: Path = MIXED) -> Migration:
    return migrate(text, path, path, env=ENV if env is None else env)


def problems(text: str, path: Path = MIXED) -> tuple[Problem, ...]:
    try:
        return parse_config(text, path, env=ENV).warnings
    except ConfigError as error:
        return error.problems


def kept(original: str, copy: str) -> list[str]:
    """Asserts that each line is there, at most commented out; those out of which something was cut are returned."""
    before, after = original.splitlines(), [line for line in copy.splitlines() if SIGN not in line]
    assert len(before) == len(after)
    pairs = zip(before, after, strict=True)
    return [old for old, new in pairs if old != new and old != new.replace("# ", "", 1)]


def told(migration: Migration, *kinds: Any) -> dict[str, str]:
    return {each.where: each.text for each in migration.of(*kinds)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_copy_is_the_same_config_without_what_does_nothing(path: Path) -> None:
    text = path.read_text()
    migration = migrated(text, path=path)
    before, after = (parse_config(each, path, env=ENV) for each in (text, migration.text))

    def says(config: Config) -> Any:
        return [
            (entry.model_name, entry.vendor, entry.model, entry.settings, entry.routing) for entry in config.models
        ], (config.aliases, config.fallbacks, config.content_policy, config.general, config.guardrails)

    assert says(before) == says(after)
    assert before.litellm == after.litellm
    without_effect = {"retry_policy": {}}
    assert before.routing.model_copy(update=without_effect) == after.routing.model_copy(update=without_effect)
    assert not [each for each in after.warnings if "not acted on here" in each.message and "mode" not in each.where]
    assert len(after.warnings) <= len(migration.of("different", "by hand"))
    assert len(migration.of("works")) == text.count("model_name:")
    changed = kept(text, migration.text)
    assert all("[" in line or "{" in line for line in changed), "only out of brackets something is cut"
    again = migrated(migration.text, path=path)
    assert again.text == migration.text
    assert not again.of("nothing", "no model")


def test_a_large_mixed_proxy() -> None:
    text = MIXED.read_text()
    migration = migrated(text, {})
    gone = {"claude", "ada", "mystery", "late", "helper", "bare"}
    assert told(migration, "no model").keys() == gone
    assert told(migration, "works").keys() == {"tts-1", "film", "painter", "openai/*", "own-voice"}
    hand = told(migration, "by hand")
    assert hand.keys() == {"", "include", "model_list[0]", "general_settings.allowed_ips"}
    assert "OUTER, OPENAI_API_KEY, RUNWAY, RPM" in hand[""]
    assert "&openai" in hand["model_list[0]"]
    different = told(migration, "different")
    assert "simple-shuffle" in different["router_settings.routing_strategy"]
    assert "the cache is off" in different["litellm_settings.cache_params.type"]
    assert "audio_speech" in different["model_list[9]"], "the index is the original's"
    assert "media models" in different["model_list[8]"]
    starts = ("claude", "ada", "mystery", "helper", "bare")
    lines = [next(n for n, line in enumerate(text.splitlines(), 1) if f"model_name: {name}" in line) for name in starts]
    assert {each.line for each in migration.of("no model")} == {*lines, text.splitlines().index("  -") + 1}

    env = {"OUTER": "x", "OPENAI_API_KEY": "k", "RUNWAY": "key_" + "0123456789abcdef" * 8, "RPM": "5"}
    config = parse_config(migration.text, MIXED, env=env)
    assert [each.where for each in config.warnings] == ["general_settings.master_key"]
    assert config.fallbacks == {"tts-1": ("own-voice",)}
    assert config.aliases == {"speech": "tts-1"}
    assert config.litellm.drop_params
    assert config.litellm.cache is None
    again = migrated(migration.text, {})
    assert again.text == migration.text
    assert again.findings != migration.findings
    assert len(kept(text, migration.text)) == 6
    assert yaml.safe_load(migration.text)["litellm_settings"] == {
        "drop_params": True,
        "success_callback": ["prometheus"],
    }
    assert migration.text.count(CANARY) == text.count(CANARY), "what is theirs stays in the copy"
    assert CANARY not in str(migration.findings)


LAYOUTS = [{"default_flow_style": flow, "width": width} for flow in (True, False, None) for width in (30, 10_000)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_same_file_in_other_layouts(layout: dict[str, Any]) -> None:
    data = yaml.safe_load(MIXED.read_text())
    data.pop("x-defaults")
    for newline in ("\n", "\r\n"):
        text = yaml.safe_dump(yaml.safe_load(yaml.safe_dump(data)), sort_keys=False, **layout).replace("\n", newline)
        migration = migrated(text, {})
        assert not [each for each in migration.findings if "still there" in each.text and "&" not in each.text]
        assert told(migration, "no model").keys() == {"claude", "ada", "mystery", "late", "helper", "bare"} | (
            set() if "&" in text else {"gpt-4o"}
        )
        assert migrated(migration.text, {}).text == migration.text
        assert migration.text.count("\r\n") in (0, migration.text.count("\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEDIA + "guardrails: [{guardrail_name: g, litellm_params: {guardrail: aporia, mode: pre_call}}]", "aporia"),
        (MEDIA + "litellm_settings: {guardrails: [{x: {}}]}", "would not run"),
        (MEDIA + "litellm_settings: {fallbacks: [{tts-1: [{model: x}]}]}", "name of a model"),
        (MEDIA + "litellm_settings: {callbacks: nowhere.to_be_found}", "no Python module"),
        (MEDIA + "    rpm: fast", "whole number"),
        (MEDIA + "    blocked: true", "blocks nothing"),
        (MEDIA + "general_settings: {public_routes: [/spend/logs]}", "must be one of"),
        (MEDIA + "general_settings:\n  master_key:\n", "has no value"),
        ("model_list:\n- model_name: a\n  litellm_params: {model: anthropic/claude}\n", "no entry"),
        (MEDIA.replace("local/espeak", "os.environ/MODEL"), "MODEL"),
    ],
)
def test_what_somebody_relies_on_is_left_to_be_done_by_hand(text: str, words: str) -> None:
    migration = migrated(text, {})
    assert words in str(migration.of("by hand"))
    errors = [each for each in problems(migration.text) if each.severity == "error"]
    assert bool(errors) == (words != "blocks nothing"), "the server does not start without it"
    assert migrated(migration.text, {}).text == migration.text


def test_the_command(tmp_path: Path) -> None:
    source, copy = tmp_path / "config.yaml", tmp_path / "config.media-gateway.yaml"
    source.write_text(
        MEDIA + "general_settings: {master_key: sk-CANARY-7f3a-secret}\nlitellm_settings: {telemetry: no}\n"
    )
    source.chmod(0o644)
    run = CliRunner().invoke

    done = run(cli, ["migrate", str(source)])
    assert done.exit_code == 0, done.output
    assert "1 model works, 0 commented out; settings: 1 commented out, 0 different, 0 to do by hand" in done.output
    assert f"{source}:6: litellm_settings.telemetry: does nothing here" in done.output
    assert CANARY not in done.output
    assert CANARY in copy.read_text()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert run(cli, ["check", str(copy)]).exit_code == 0

    copy.write_text("mine")
    assert run(cli, ["migrate", str(source)]).exit_code == 2
    assert copy.read_text() == "mine"
    assert run(cli, ["migrate", str(source), "--force"]).exit_code == 0
    assert copy.read_text() != "mine"
    assert run(cli, ["migrate", str(source), "--force", "-o", str(source)]).exit_code == 2

    assert run(cli, ["migrate", str(source), "-o", str(tmp_path / "no" / "folder.yaml")]).exit_code == 2

    source.write_text(MEDIA + "include: [a.yaml]\n")
    done = run(cli, ["migrate", str(source), "-o", "-"])
    assert done.exit_code == 1
    assert yaml.safe_load(done.stdout) == yaml.safe_load(MEDIA), "the report goes to standard error"
    assert "To do by hand" in done.stderr

    for bad in ("model_list: [\n", "- a\n", ""):
        source.write_text(bad)
        done = run(cli, ["migrate", str(source), "-o", str(tmp_path / "new.yaml")])
        assert done.exit_code == 2
        assert f"{source}:" in done.stderr
    assert run(cli, ["migrate", str(tmp_path / "none.yaml")]).exit_code == 2
    assert not (tmp_path / "new.yaml").exists()


CHAT = "{model_name: g, litellm_params: {model: openai/gpt-4o}}"
SPEAKS = "{model_name: a, litellm_params: {model: local/espeak}}"


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        (f"--- {{model_list: [{CHAT}, {SPEAKS}], prompts: x}}\n", f"--- {{model_list: [{SPEAKS}]}}\n"),
        (f"x-m: &m\n- {SPEAKS}\n- {CHAT}\nmodel_list: *m\n", f"x-m: &m\n- {SPEAKS}\n# - {CHAT}\nmodel_list: *m\n"),
        (f"model_list: # ours\n-\n {CHAT}\n- {SPEAKS}\n", f"model_list: # ours\n# -\n#  {CHAT}\n- {SPEAKS}\n"),
        (
            f"model_list:\n- {SPEAKS}\nprompts: |+\n  x\n\n  # y\n\ngeneral_settings:\n  alerting:\n  - slack\n",
            f"model_list:\n- {SPEAKS}\n# prompts: |+\n#   x\n\n#   # y\n\ngeneral_settings:\n  # alerting:\n  # - slack\n",
        ),
        (
            f"model_list:\n- {SPEAKS}\nprompts: 'x\n\n  y' # z\nrouter_settings:\n  fallbacks: [{{b: [a], a: [c]}}]\n",
            f"model_list:\n- {SPEAKS}\n# prompts: 'x\n\n#   y' # z\nrouter_settings:\n  # fallbacks: [{{b: [a], a: [c]}}]\n",
        ),
        (
            f"model_list:\n- {SPEAKS}\ngeneral_settings:\n  ? alerting\n  : [a]\n",
            f"model_list:\n- {SPEAKS}\ngeneral_settings:\n  ? alerting\n  : [a]\n",
        ),
    ],
)
def test_shapes_of_yaml(text: str, copy: str) -> None:
    migration = migrated(text, {})
    assert "".join(line for line in migration.text.splitlines(keepends=True) if SIGN not in line) == copy
    assert ("it cannot be taken out" in str(migration.of("different"))) == (text == copy)
    assert not migration.of("by hand")
    assert migrated(migration.text, {}).text == migration.text
