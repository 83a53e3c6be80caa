"""What was asked for: the project as its requester described it, and which of the wished technologies we can write."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from services.agents.findings import Analysis

Client = Literal["web", "mobile", "none"]

# role: (what we write, other names of it)
SUPPORTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "backend": {"fastapi": ("python", "pythonfastapi")},
    "database": {"postgresql": ("postgres", "pg")},
    "frontend": {"react": ("reactjs", "vite", "reactvite"), "none": ("no", "")},
    "mobile": {"react_native": ("reactnative", "expo", "reactnativeexpo", "react")},
}
DEFAULTS = {"backend": "fastapi", "database": "postgresql", "frontend": "react", "mobile": "react_native"}


class Unsupported(ValueError):
    """The request wants something that the reference agents can't write; the message lists what they can."""


class ProjectContext(BaseModel):
    """A project request, as every agent gets it with its assignment."""

    model_config = ConfigDict(frozen=True)

    project: str
    """Project id."""
    title: str = ""
    description: str = ""
    type: str = "web_application"
    technologies: dict[str, str] = {}
    requirements: dict[str, Any] = {}
    analysis: Analysis | None = None
    """What the analyst found; without it the agents find the same again."""

    @classmethod
    def of(cls, project: str, project_input: Mapping[str, Any]) -> Self:
        """From an assignment's `project_input`; what is null or unknown in there is left out."""
        known = {key: project_input[key] for key in cls.model_fields if project_input.get(key) is not None}
        return cls.model_validate({**known, "project": project})

    @property
    def name(self) -> str:
        """One line by which a person knows the project."""
        words = " ".join(re.sub(r"[^\w .,&'()+-]", " ", self.title or self.description or self.project).split())
        return words[:80].strip() or self.project

    @property
    def client(self) -> Client:
        """What people use the software with."""
        if self.type == "mobile_app" or "mobile" in self.technologies:
            return "mobile"
        wanted = _technology("frontend", self.technologies.get("frontend", DEFAULTS["frontend"]))
        asked = self.type == "web_application" or "frontend" in self.technologies
        return "web" if asked and wanted != "none" else "none"

    @property
    def chosen(self) -> dict[str, str]:
        """The technology of each role that this project has."""
        roles = ["backend", "database", *{"web": ["frontend"], "mobile": ["mobile"], "none": []}[self.client]]
        wishes = {role.lower(): wish for role, wish in self.technologies.items()}
        if self.client == "mobile" and "frontend" in wishes:
            wishes.setdefault("mobile", wishes["frontend"])
        return {role: _technology(role, wishes.get(role, DEFAULTS[role])) for role in roles}


def _technology(role: str, wish: str) -> str:
    plain = re.sub(r"[^a-z]", "", wish.lower())
    for technology, names in SUPPORTED[role].items():
        if plain in {technology.replace("_", ""), *names}:
            return technology
    can = ", ".join(SUPPORTED[role])
    raise Unsupported(f"the reference agents can't write a {role} with {wish!r}; they can with {can}")
