"""How the tests of the architecture read the code: as text, importing nothing."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("contracts", "nexus", "services", "shared")
BESIDE = ("deploy", "tests")  # ours too, though not installed


@cache
def modules(*folders: str) -> tuple[str, ...]:
    """Return every module below these folders, or below ours, as paths from the root."""
    found = (path for folder in folders or OURS for path in sorted((ROOT / folder).rglob("*.py")))
    return tuple(path.relative_to(ROOT).as_posix() for path in found)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), module)


def imports(module: ast.Module) -> Iterator[str]:
    """Yield the full name of everything that is imported, wherever in the module; relative ones keep their dot."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
