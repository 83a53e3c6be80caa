"""Which template a request is for: by its type, else by what its description and technologies say for each. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from contracts.planner import CreateProject
from services.planner.catalog import Catalog
from services.planner.findings import Finding, Refused, listed
from services.planner.template import Template

WORD = re.compile(r"[^\W_]+")
TECHNOLOGY_WEIGHT = 4.0
"""A chosen technology says more than a word of the description."""
TITLE_FACTOR = 1.5
"""A word of the title says more than one of the description."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A template, why this one, and how the others did."""

    template: str
    reasons: tuple[str, ...]
    scores: Mapping[str, float]


def select(request: CreateProject, catalog: Catalog) -> Selection:
    """Choose the template; refuse if the type is unknown or nothing speaks for any of them."""
    if request.type is not None:
        if request.type not in catalog.templates:
            raise Refused([Finding("unknown_template", "/type", catalog.unknown(request.type))])
        return Selection(request.type, (f"the request says type {request.type}",), {})
    evidence = {name: dict(_evidence(request, template)) for name, template in catalog.templates.items()}
    scores = {name: sum(found.values()) for name, found in evidence.items()}
    best = max(sorted(scores), key=scores.__getitem__)
    if scores[best] <= 0:
        known = listed(catalog.templates)
        message = f"neither title nor description nor technologies tell what kind of project it is; say one of {known}"
        raise Refused([Finding("no_template", "/type", message)])
    return Selection(best, (*_reasons(evidence[best]), *_comparison(best, scores)), scores)


def _evidence(request: CreateProject, template: Template) -> Iterator[tuple[str, float]]:
    title, description = _plain(request.title), _plain(request.description)
    for keyword, weight in template.keywords.items():
        if _says(title, keyword):
            yield f"the title says {keyword!r}", weight * TITLE_FACTOR
        elif _says(description, keyword):
            yield f"the description says {keyword!r}", weight
    for role, technology in request.technologies.items():
        known = template.technologies.get(role)
        if known is not None and technology.strip().lower() in (*known.supported, *known.aliases):
            yield f"it can be done with {technology} as {role}", TECHNOLOGY_WEIGHT
        elif known is None:
            yield f"it has no {role}", -TECHNOLOGY_WEIGHT


@lru_cache(512)
def _plain(text: str) -> str:
    return f" {' '.join(WORD.findall(text.lower()))} "


def _says(text: str, keyword: str) -> bool:
    words = _plain(keyword).rstrip()
    return f"{words} " in text or f"{words}s " in text


def _reasons(evidence: Mapping[str, float]) -> Iterator[str]:
    for reason, weight in sorted(evidence.items(), key=lambda item: -item[1]):
        yield f"{reason} ({weight:+g})"


def _comparison(best: str, scores: Mapping[str, float]) -> Iterator[str]:
    others = {name: score for name, score in scores.items() if name != best}
    tied = sorted(name for name, score in others.items() if score == scores[best])
    shown = ", ".join(f"{name} {score:g}" for name, score in sorted(others.items(), key=lambda item: -item[1]))
    yield f"{best} {scores[best]:g} against {shown}"
    if tied:
        yield f"as much speaks for {', '.join(tied)}: the first by name was taken; say `type` to decide"
