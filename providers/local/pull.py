"""``media-gateway pull``: bring a local model's files from the Hugging Face hub and check every byte of them.

The network is the ``huggingface_hub`` package's alone: it resumes what breaks off, keeps finished files and shows
progress on stderr.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.kokoro import CONFIG, REPOSITORY, WEIGHTS
from engines.kokoro_g2p import SPACY_MODEL
from providers.base.errors import PullError

WEIGHTS_SHA256 = "496dba118d1a58f5f3db2efc88dbdc216e0483fc89fe6e47ee1f2c53f18ad1e4"
"""The published digest of release v1.0, as its model card gives it."""

_VOICE = re.compile(r"voices/([a-z]{2}_[a-z0-9_]+)\.pt")
_BLOCK = 1 << 20
_SPACY_SECONDS = 600

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as the hub lists it. ``sha256`` is known of large files, ``blob`` (git's SHA-1) of the others."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


def pull_kokoro(*, folder: Path | None, endpoint: str | None, voices: Sequence[str] | None, report: Report) -> Path:
    """Fetch Kokoro-82M's configuration, weights and voices; return the folder that holds them.

    They go to ``folder``, or (``None``) to the hub's cache, where files that are there already are only checked.
    ``endpoint`` is a mirror's address (``None``: ``HF_ENDPOINT`` or the hub itself). ``voices`` are the ids wanted
    (``None``: all). ``report`` gets one line of text per step. Raises ``PullError``; a file that is not what the hub
    says it is gets deleted.
    """
    try:
        from huggingface_hub import HfApi, constants, hf_hub_download
    except ImportError as error:
        raise PullError('huggingface_hub is not installed. Run: pip install "media-gateway[kokoro]"') from error
    place = (endpoint or constants.ENDPOINT).rstrip("/")
    if not place.startswith(("http://", "https://")):
        raise PullError(f"{place} is not the address of a hub: it must begin with https:// or http://")
    with _told_plainly(place):
        info = HfApi(endpoint=place).model_info(REPOSITORY, files_metadata=True)
        files = _wanted([_file(sibling) for sibling in info.siblings or ()], voices)
        report(f"{REPOSITORY}: {len(files)} files, {_megabytes(sum(file.size for file in files))}")
        paths = []
        for file in files:
            paths.append(Path(hf_hub_download(REPOSITORY, file.name, endpoint=place, local_dir=folder)))
            _check(paths[-1], file)
            report(f"{len(paths)}/{len(files)} {file.name}: {_megabytes(file.size)}, checked")
    _add_spacy_model(report)
    return paths[0].parent


@contextlib.contextmanager
def _told_plainly(place: str) -> Iterator[None]:
    """Every way in which the hub's client fails, as a ``PullError``."""
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise PullError("HF_HUB_OFFLINE is set, so nothing can be fetched.") from error
    except errors.HfHubHTTPError as error:
        said = error.server_message or str(error).partition("\n")[0]
        raise PullError(f"{place} answered {error.response.status_code}: {said}") from error
    except (errors.LocalEntryNotFoundError, errors.HTTPError) as error:
        # The second is the base class of whichever HTTP client the package uses.
        raise PullError(f"{place} cannot be reached: {str(error.__cause__ or error).partition(chr(10))[0]}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PullError(f"The disk is full. {REPOSITORY} needs 360 MB.") from error
        raise PullError(f"Fetching from {place} failed: {error}") from error
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PullError(f"{place} does not answer as the Hugging Face hub does: {error}") from error


def _file(sibling: Any) -> _File:
    lfs = sibling.lfs
    return _File(sibling.rfilename, sibling.size or 0, lfs.sha256 if lfs else None, sibling.blob_id)


def _wanted(listed: Sequence[_File], voices: Sequence[str] | None) -> list[_File]:
    """The configuration, the weights and the voices of the repository's files, in that order."""
    by_name = {file.name: file for file in listed}
    missing = [name for name in (CONFIG, WEIGHTS) if name not in by_name]
    if missing:
        raise PullError(f"{REPOSITORY} has no {' and no '.join(missing)} there.")
    if by_name[WEIGHTS].sha256 != WEIGHTS_SHA256:
        raise PullError(f"{WEIGHTS} there is not the published release v1.0 (SHA-256 {WEIGHTS_SHA256}).")
    there = {match[1]: file for file in listed if (match := _VOICE.fullmatch(file.name))}
    unknown = sorted(set(voices or ()) - set(there))
    if unknown:
        raise PullError(f"{REPOSITORY} has no voice {', '.join(unknown)}. It has: {', '.join(sorted(there))}")
    chosen = sorted(there) if voices is None else sorted(set(voices))
    return [by_name[CONFIG], by_name[WEIGHTS], *(there[voice] for voice in chosen)]


def _check(path: Path, file: _File) -> None:
    """Compare the bytes on disk with the hub's own digest of them; a wrong file is deleted, so a new try fetches it."""
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())  # noqa: S324
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != (file.sha256 or file.blob):
        for copy in {path.resolve(), path}:  # in the cache, path is a link
            copy.unlink(missing_ok=True)
        raise PullError(f"{file.name} is damaged: its digest is not the hub's. It was deleted; run the command again.")


def _add_spacy_model(report: Report) -> None:
    """Let spaCy install its English model, for better phonemes. Kokoro speaks without it, so a failure is only told."""
    if importlib.util.find_spec("spacy") is None:
        return
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution(SPACY_MODEL)
        report(f"{SPACY_MODEL} is installed")
        return
    report(f"{SPACY_MODEL}: asking spaCy to install it")
    command = [sys.executable, "-m", "spacy", "download", SPACY_MODEL]
    try:
        # In a process of its own, since spaCy ends the whole process when it fails.
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SPACY_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    else:
        if done.returncode == 0:
            report(f"{SPACY_MODEL} is installed")
            return
        reason = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
    report(
        f"warning: {SPACY_MODEL} was not installed, so English is phonemised by eSpeak NG ({reason}). "
        f"To try again: python -m spacy download {SPACY_MODEL}"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
