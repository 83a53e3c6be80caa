"""What a project is called: a title for people, and an id that is the same each time the same command arrives. Pure."""

import re
from base64 import b32encode
from hashlib import sha256
from unicodedata import normalize

from contracts.planner import CreateProject

SLUG = 24
TITLE = 80
LENGTHS = 6, 16
"""Characters of the command's hash: 30 bits, or 80 where another project has the short id already."""


def title_of(request: CreateProject) -> str:
    """Return the request's title, or the beginning of its description, or its type in words."""
    text = " ".join((request.title or request.description).split())
    if len(text) > TITLE:
        text = text[: TITLE - 1].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"
    return text or (request.type or "project").replace("_", " ").capitalize()


def project_id(request: CreateProject, command_id: str, length: int = LENGTHS[0]) -> str:
    """Return an id that a person can read: words of the title, and the hash of the command's id."""
    digest = b32encode(sha256(command_id.encode()).digest()).decode().lower()
    return f"{slug(title_of(request))}-{digest[:length]}"


def slug(text: str) -> str:
    """Return the text's first words as one token; `project` if it has no letter that a token may have."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(words) > SLUG:
        words = words[: SLUG + 1].rpartition("-")[0] or words[:SLUG]
    return words or "project"
