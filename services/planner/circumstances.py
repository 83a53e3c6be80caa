"""What plans depend on beside the request: settings, plug-ins, and what the log says about agents and limits."""

from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from services.planner.admission import REFERENCE, Limits
from services.planner.catalog import Catalog
from services.planner.planning import PROTOCOLS, Rules
from services.planner.projections import AMOUNTS, Workforce
from shared.projection import Projection
from shared.settings import Planning, Settings


def rules_of(settings: Settings) -> Rules:
    """Return what these settings say about plans; raise `SettingsError` if they contradict the templates."""
    limits = settings.nexus.resource_limits
    coordination = settings.orchestrator.coordination
    return Rules(
        catalog=Catalog.load(settings),
        limits=Limits(**{name: getattr(limits, name) for name in AMOUNTS}),
        default_protocol=coordination.default_protocol,
        protocols=PROTOCOLS | {plugin.name for plugin in entry_points(group="nexus.protocols")},
        attempts=max(1, coordination.retry_attempts),
        timeout=settings.agents.orchestrator.coordination_timeout,
        sync_timeout=coordination.sync_timeout,
    )


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The present state of all that."""

    settings: Planning
    base: Rules
    known: Projection[Workforce]

    @property
    def workforce(self) -> Workforce:
        """Who there is and was."""
        return self.known.view

    async def probe(self) -> None:
        """Raise while it is not known who there is: the log is still being read, or cannot be."""
        if not self.known.live:
            raise RuntimeError("it is not known which agents there are")

    @property
    def rules(self) -> Rules:
        """The rules, with the pool's limits as they are now."""
        changed = self.workforce.limits
        if changed is None:
            return self.base
        return replace(self.base, limits=Limits(**{name: getattr(changed, name) for name in AMOUNTS}))

    def capabilities(self, promised: object = ()) -> set[str]:
        """Return every capability that counts as known, with those that a request promises."""
        listed = promised if isinstance(promised, list | tuple) else ()
        named = {name for name in listed if isinstance(name, str)}
        return self.workforce.capabilities | REFERENCE | set(self.settings.capabilities) | named
