"""The examples as they were printed, and a way to run them where they stand: with `await` at the top."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parent / "examples.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^### (?P<heading>.+?)\n+```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def example(heading: str) -> str:
    """Return the block below a heading."""
    return {found["heading"]: found["code"] for found in BLOCK.finditer(TEXT)}[heading]


async def run(heading: str, names: dict[str, Any]) -> None:
    """Execute the block below a heading in these names."""
    code = compile(example(heading), heading, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)
    if inspect.isawaitable(found):
        await found
