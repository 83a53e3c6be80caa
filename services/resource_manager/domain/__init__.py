"""The pool: pure decisions and facts about capacity, agents and leases."""

from services.resource_manager.domain.admission import Match, Wish
from services.resource_manager.domain.advice import advise
from services.resource_manager.domain.drafting import Terms
from services.resource_manager.domain.news import Heard
from services.resource_manager.domain.pool import Pool, UnknownAgent

__all__ = ["Heard", "Match", "Pool", "Terms", "UnknownAgent", "Wish", "advise"]
