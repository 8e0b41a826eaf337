"""The folder where jobs and outputs are kept: one server's at a time."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import BinaryIO

from gateway.config import GeneralSettings


class DataFolderError(Exception):
    """The folder cannot be used. ``str(error)`` says why, and what to do."""


class DataFolder:
    """``jobs.sqlite``, ``keys.sqlite``, ``ledger.sqlite``, ``blobs/``, ``cache/``, ``outbox/``, ``pictures/``,
    ``lock``, ``secret``, and ``workers`` where several processes serve; journals beside their databases.

    The last signs the addresses of outputs.
    """

    def __init__(self, path: Path, *, ours: bool = False) -> None:
        self.path = path
        self._ours = ours  # the lock is this process's parent's
        self._lock: BinaryIO | None = None

    @property
    def jobs(self) -> Path:
        """The database of jobs."""
        return self.path / "jobs.sqlite"

    @property
    def ledger(self) -> Path:
        """The database of calls and what they cost."""
        return self.path / "ledger.sqlite"

    @property
    def keys(self) -> Path:
        """The database of virtual keys, which the command line writes too, without the lock."""
        return self.path / "keys.sqlite"

    @property
    def blobs(self) -> Path:
        """The folder of outputs."""
        return self.path / "blobs"

    @property
    def pictures(self) -> Path:
        """The folder of pictures that programs have asked for, with no server; written without the lock."""
        return self.path / "pictures"

    @property
    def outbox(self) -> Path:
        """The folder of events that are still to be told."""
        return self.path / "outbox"

    def cache_of(self, worker: int) -> Path:
        """The folder of the answers that a worker keeps: none but the first has a number in its name."""
        return self.path / (f"cache-{worker}" if worker else "cache")

    @property
    def workers(self) -> Path:
        """The file of the locks by which the processes of one server know each other."""
        return self.path / "workers"

    def lock(self) -> int:
        """The descriptor of the lock that ``open`` has taken: whoever inherits it holds the folder too."""
        assert self._lock is not None
        return self._lock.fileno()

    def open(self) -> bytes:
        """Make the folder, take its lock, and return the secret. Blocks on the disk; raises ``DataFolderError``."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._ours:
                self._lock = (self.path / "lock").open("wb")
                _take(self._lock)
            return _secret(self.path / "secret")
        except BlockingIOError:
            self.close()
            raise DataFolderError(
                f"{self.path} is in use by another process. Give this one its own: general_settings.data_dir, "
                "or $MEDIA_GATEWAY_DATA_DIR."
            ) from None
        except OSError as error:
            self.close()
            raise DataFolderError(
                f"{self.path} cannot be used ({error.strerror}). Name another one: general_settings.data_dir."
            ) from error

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def data_folder(settings: GeneralSettings) -> Path:
    """``data_dir`` of the config, else ``$MEDIA_GATEWAY_DATA_DIR``, else a folder of the user's."""
    if settings.data_dir is not None:
        return settings.data_dir.expanduser()
    if given := os.environ.get("MEDIA_GATEWAY_DATA_DIR"):
        return Path(given)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "media-gateway"


def _take(lock: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # a system without: two servers on one folder are then the user's own care
        return
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _secret(path: Path) -> bytes:
    if not path.exists():
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(secrets.token_bytes(32))
        part.replace(path)
    return path.read_bytes()
