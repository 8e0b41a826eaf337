"""The list of examples names the tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
LIST = FOLDER.parent.parent / "docs" / "examples.md"


def test_the_list_is_complete() -> None:
    rows = [line for line in LIST.read_text().splitlines() if line.startswith("| ") and "example or table" not in line]
    listed = [re.fullmatch(r"\| .+ \| `tests/seeds/(test_\w+\.py::test_\w+)` \|", row) for row in rows]
    assert all(listed), [row for row, found in zip(rows, listed, strict=True) if not found]
    tests = {
        f"{path.name}::{node.name}"
        for path in FOLDER.glob("test_*.py")
        if path != Path(__file__)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert {found[1] for found in listed if found} == tests
