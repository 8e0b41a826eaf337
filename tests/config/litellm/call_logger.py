"""A custom logger as one writes it for LiteLLM's proxy: told of each call by keyword, it writes a line to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class CallLogger:
    """One line a call: how it ended, its model, its cost, its text."""

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call that was answered."""
        self._write("success", kwargs["standard_logging_object"])

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call that was not."""
        self._write("failure", kwargs["standard_logging_object"])

    def _write(self, end: str, told: dict[str, Any]) -> None:
        line = json.dumps([end, told["model_group"], told["response_cost"], str(told["messages"])])
        with Path(os.environ["CALL_LOG"]).open("a") as file:
            file.write(line + "\n")


instance = CallLogger()
