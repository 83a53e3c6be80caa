"""From an analysis to the files of a project: templates in, text out.

The tree of templates is the tree of the output. `blueprints/<kind>/<tags>/<path>` becomes `<path>` when the project has
all of the tags (joined by `+`), the more specific one winning. What ends in `.jinja` is rendered, everything else is
copied; `[entity]` in a path stands for each entity with routes; what renders to nothing makes no file.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.agents.analysis import FILE, analysis_of, load
from services.agents.brief import ProjectContext, Unsupported
from services.agents.findings import Analysis
from services.agents.openapi import openapi
from services.agents.samples import built, hiding, sample, wrong
from services.agents.wording import FILTERS

COMMON = ("requirements", "architecture", "api_contract", "schema", "backend", "tests", "readme", "deployment")
CLIENTS = {"web": ("frontend",), "mobile": ("mobile",), "none": ()}
KINDS = (*COMMON, "frontend", "mobile")
ENTITY = "[entity]"
SUFFIX = ".jinja"


class UnsafePath(ValueError):
    """A path that would leave the output folder."""


def kinds(context: ProjectContext) -> tuple[str, ...]:
    """What a whole project of this request consists of."""
    return (*COMMON, *CLIENTS[context.client])


def render(kind: str, context: ProjectContext) -> dict[str, str]:
    """The files of one kind, by their path in the project; the same context gives the same text."""
    if kind not in KINDS:
        raise Unsupported(f"the reference agents don't write {kind!r}; they write {', '.join(KINDS)}")
    analysis = analysis_of(context)
    made = (_rendered(*found, analysis) for found in _templates(kind, _tags(analysis)).items())
    return dict(sorted((path, text) for files in made for path, text in files if text.strip()))


def informed(context: ProjectContext, folder: Path) -> ProjectContext:
    """The context with what the analyst left in the project's folder, if it did."""
    file = folder / FILE
    return context.model_copy(update={"analysis": load(file.read_text(encoding="utf-8"))}) if file.exists() else context


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Put the files into the folder: each appears whole or not at all, and what is there already unchanged stays."""
    targets = {_inside(folder, name): text for name, text in files.items()}
    for path, text in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and path.read_text(encoding="utf-8") == text):
            _replace(path, text)
    return list(targets)


def _templates(kind: str, tags: frozenset[str]) -> dict[str, str]:
    """Output path to template, for a project with these tags."""
    found: dict[str, tuple[int, str]] = {}
    for name in _environment().list_templates():
        of, _, rest = name.partition("/")
        layer, _, path = rest.partition("/")
        needs = layer.split("+")
        if of == kind and path and tags.issuperset(needs):
            target = path.removesuffix(SUFFIX)
            found[target] = max(found.get(target, (0, "")), (len(needs) + (layer != "base"), name))
    return {path: name for path, (_, name) in found.items()}


def _tags(analysis: Analysis) -> frozenset[str]:
    return frozenset({"base", analysis.domain, analysis.client, *analysis.technologies.values()})


def _rendered(path: str, template: str, analysis: Analysis) -> Iterator[tuple[str, str]]:
    for entity in analysis.resources if ENTITY in path else (None,):
        name = path.replace(ENTITY, entity.plural) if entity else path
        yield name, _text(template, a=analysis, entity=entity, openapi=openapi)


def _text(template: str, **values: object) -> str:
    environment = _environment()
    if template.endswith(SUFFIX):
        return environment.get_template(template).render(values)
    assert environment.loader
    return environment.loader.get_source(environment, template)[0]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.agents", "blueprints"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - program text, not HTML; each template quotes for its own language
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    environment.filters |= {"built": built, "hiding": hiding, "sample": sample, "wrong": wrong}
    return environment


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise UnsafePath(f"{name!r} is no path inside the project's folder")
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise UnsafePath(f"{name!r} follows a link out of the project's folder")
    return folder / path


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
