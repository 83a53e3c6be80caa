"""The seat of the analyst: what stands outside any decision, because it may take long, cost money or be a model.

What an analyst finds becomes a fact, `project_analysed`. Replay reads the fact and never asks again.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from contracts.planner import CreateProject
from services.planner.catalog import Catalog
from services.planner.selection import select
from services.planner.tailoring import tailor


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analyst found."""

    analyst: str
    template: str
    reasons: tuple[str, ...] = ()
    findings: dict[str, Any] = field(default_factory=dict)


class Analyst(Protocol):
    """Reads a request and says which template it is for."""

    async def analyse(self, request: CreateProject) -> Analysis:
        """Return what was found; raise `Refused` if the request cannot be planned."""


@dataclass(frozen=True, slots=True)
class RuleAnalyst:
    """Decides by the templates' own keywords and technologies; free, at once, and always the same."""

    catalog: Catalog

    async def analyse(self, request: CreateProject) -> Analysis:
        """Choose the template, and say with which technologies and by which factors it scales."""
        selection = select(request, self.catalog)
        tailored = tailor(self.catalog.templates[selection.template], request)
        findings: dict[str, Any] = {"technologies": tailored.technologies, "factors": tailored.factors}
        if selection.scores:
            findings["scores"] = dict(selection.scores)
        return Analysis("rules", selection.template, selection.reasons, findings)
