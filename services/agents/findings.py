"""What the analyst finds out: kind of application, stories, load and qualities, around the entities. Pure."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import Field

from services.agents.model import Entity, Operation, Part, routes
from services.agents.names import Name


class Story(Part):
    """What somebody wants and how we will know that they got it."""

    id: str = ""
    actor: str
    want: str
    benefit: str
    criteria: tuple[str, ...] = ()
    covered_by: str = ""
    """The produced test file that shows it."""


class Domain(Part):
    """A kind of application: the words that give it away and what it consists of."""

    key: str
    title: str
    keywords: tuple[str, ...] = ()
    actors: dict[str, str] = Field(default_factory=dict)
    entities: tuple[Entity, ...]
    routers: tuple[Name, ...] = ()
    """Modules of the back end that answer the domain's own operations."""
    actions: tuple[Operation, ...] = ()
    stories: tuple[Story, ...] = ()


class Quality(Part):
    """A requirement on how well, with the number that it is measured by."""

    id: str
    title: str
    measure: str
    because: str


class Capacity(Part):
    """What the expected load means in numbers; each follows from the two before it."""

    expected_users: int
    performance_level: str
    concurrent_users: int
    requests_per_second: int
    p95_milliseconds: int
    availability_percent: float
    workers: int
    pool_size: int
    """Database connections of one worker."""
    page_size: int
    tuned: bool
    """Large or fast enough for indexes and settings that a small installation would only pay for."""


class Analysis(Part):
    """What the analyst found; every later task reads this and nothing else."""

    project: str
    title: str
    description: str
    type: str
    technologies: dict[str, str]
    client: Literal["web", "mobile", "none"]
    platforms: tuple[str, ...] = ()
    """Of a mobile client."""
    domain: str
    domain_title: str
    reasons: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    actors: dict[str, str]
    entities: tuple[Entity, ...]
    routers: tuple[Name, ...] = ()
    actions: tuple[Operation, ...] = ()
    stories: tuple[Story, ...]
    capacity: Capacity
    qualities: tuple[Quality, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Entity]:
        return {entity.name: entity for entity in self.entities}

    @property
    def resources(self) -> tuple[Entity, ...]:
        """Entities with routes of their own."""
        return tuple(entity for entity in self.entities if entity.routes)

    @cached_property
    def singles(self) -> frozenset[str]:
        """Entities of which one person can have only one, or that need such a one."""
        found: set[str] = set()
        for entity in self.entities:
            if entity.single or not found.isdisjoint(entity.needs):
                found.add(entity.name)
        return frozenset(found)

    @cached_property
    def buildable(self) -> frozenset[str]:
        """Entities that can be created through the API with all that they need, each thing newly."""
        built: dict[str, Counter[str]] = {"user": Counter()}
        for entity in self.entities:
            if "create" in entity.verbs and all(need in built and self._sees(entity, need) for need in entity.needs):
                made = sum((built[need] for need in entity.needs), Counter({entity.name: 1}))
                if not any(count > 1 and name in self.singles for name, count in made.items()):
                    built[entity.name] = made
        return frozenset(built) - {"user"}

    def _sees(self, entity: Entity, need: str) -> bool:
        """Whoever may create the one may see the other, who might be somebody else's."""
        other = self.by_name[need]
        return other.read != "owner" or other.create != "staff" or entity.create == "staff"

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of the back end that have routes."""
        return tuple(sorted({*self.routers, *(entity.plural for entity in self.resources)}))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The whole API: the routes of the entities and the domain's own."""
        return (*self.actions, *(op for entity in self.resources for op in routes(entity)))

    def rows(self, entity: Entity) -> int:
        """Expected rows after a year."""
        return max(len(entity.seed), round(entity.rows_per_user * self.capacity.expected_users))
