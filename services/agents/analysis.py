"""The analyst's work: from a request to entities, operations, user stories and measurable qualities. Pure."""

from collections.abc import Iterator

from pydantic import ValidationError

from services.agents.brief import SUPPORTED, ProjectContext, Unsupported
from services.agents.capacity import capacity, qualities
from services.agents.domains import choose, domain, in_order
from services.agents.findings import Analysis, Story
from services.agents.model import Entity

FILE = "requirements.json"
"""Where the analyst leaves the analysis for the tasks that follow."""

UNDERSTOOD = frozenset({"expected_users", "performance_level", "domain", "entities", "platforms", "capabilities"})
"""Requirements that mean something here, or that the planner has dealt with."""

PLATFORMS = ("ios", "android")


def analyse(context: ProjectContext) -> Analysis:
    """What is to be built; the same request gives the same analysis."""
    found, reasons = choose(context)
    accounts, load = domain("accounts"), capacity(context.requirements)
    entities = in_order((*accounts.entities, *found.entities))
    stories = (*accounts.stories, *found.stories, *_plain_stories(found.entities, found.stories))
    return Analysis(
        project=context.project,
        title=context.name,
        description=context.description,
        type=context.type,
        technologies=context.chosen,
        client=context.client,
        platforms=_platforms(context) if context.client == "mobile" else (),
        domain=found.key,
        domain_title=found.title,
        reasons=reasons,
        assumptions=tuple(_assumptions(context)),
        actors=found.actors,
        entities=entities,
        routers=(*accounts.routers, *found.routers),
        actions=(*accounts.actions, *found.actions),
        stories=tuple(story.model_copy(update={"id": f"US-{n}"}) for n, story in enumerate(stories, start=1)),
        capacity=load,
        qualities=qualities(load),
    )


def analysis_of(context: ProjectContext) -> Analysis:
    """What the analyst found, or would find."""
    return context.analysis or analyse(context)


def load(text: str) -> Analysis:
    """The analysis in `requirements.json`, also after a person has edited it."""
    try:
        found = Analysis.model_validate_json(text)
    except ValidationError as error:
        raise Unsupported(f"{FILE} can't be used: {error}") from error
    return found.model_copy(update={"entities": in_order(found.entities)})


def _plain_stories(entities: tuple[Entity, ...], told: tuple[Story, ...]) -> Iterator[Story]:
    """A story for each entity that no other story is about."""
    covered = {story.covered_by for story in told}
    for entity in entities:
        test = f"tests/test_{entity.plural}.py"
        if entity.routes and test not in covered:
            yield Story(
                actor="staff" if entity.create == "staff" else "member",
                want=f"keep {entity.labels}: add, find, change and remove them",
                benefit=f"everybody works with the same {entity.labels}",
                criteria=(
                    "What is missing or out of range is refused with 422 and a reason.",
                    f"Reading is for: {entity.read}. Changing is for: {entity.change}.",
                ),
                covered_by=test,
            )


def _platforms(context: ProjectContext) -> tuple[str, ...]:
    given = context.requirements.get("platforms", PLATFORMS)
    if not isinstance(given, list | tuple) or not given or not set(given).issubset(PLATFORMS):
        raise Unsupported(f"requirements.platforms is {given!r}; known are {', '.join(PLATFORMS)}")
    return tuple(platform for platform in PLATFORMS if platform in given)


def _assumptions(context: ProjectContext) -> Iterator[str]:
    if "expected_users" not in context.requirements:
        yield "The request names no number of users; 1,000 are assumed."
    if "performance_level" not in context.requirements:
        yield "The request names no performance level; standard is assumed."
    for role in sorted(set(context.technologies) - set(SUPPORTED)):
        yield f"The request wishes {role} to be {context.technologies[role]}; nothing here uses it."
    for key in sorted(set(context.requirements) - UNDERSTOOD):
        yield f"The requirement {key} = {context.requirements[key]!r} is recorded and not acted upon."
