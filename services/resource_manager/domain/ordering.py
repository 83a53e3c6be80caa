"""What one cycle states, project by project, in an order that never holds more than there is in between."""

from collections.abc import Iterator, Mapping, Sequence

from contracts.resource_manager import Lease
from services.resource_manager.domain.drafting import Draft, Grant
from services.resource_manager.domain.ledger import Room


def ordered(drafts: Sequence[Draft], room: Room, leases: Mapping[str, Lease]) -> Iterator[Draft]:
    """Yield the drafts; `room` is what there was before, and what one frees another may get."""
    plain = [draft for draft in drafts if not draft.granted]
    rest = [draft for draft in drafts if draft.granted]
    for draft in plain:
        _leave(draft, room, leases)
        yield draft
    if len(rest) == 1:
        yield rest.pop()
    while rest:
        later = []
        for draft in rest:
            if _fits(draft, room, leases):
                yield draft
            else:
                later.append(draft)
        if len(later) == len(rest):  # each waits for what another frees: let one free it first
            first = next(draft for draft in later if draft.released)
            _leave(first, room, leases)
            yield Draft(first.project, released=first.released)
            first.released = []
        rest = later


def _leave(draft: Draft, room: Room, leases: Mapping[str, Lease], sign: int = -1) -> None:
    for lease in draft.released:
        if lease in leases:
            room.leave(leases[lease], sign)


def _fits(draft: Draft, room: Room, leases: Mapping[str, Lease]) -> bool:
    """Carry the draft out in `room`, if it fits."""
    _leave(draft, room, leases)
    taken: list[Grant] = []
    for grant in draft.granted:
        slots, needs = grant.who.slots, grant.who.needs
        if room.lacking(needs) is not None or not room.seats[grant.agent].fits(slots, needs):
            break
        taken.append(grant)
        _take(room, grant, 1)
    else:
        return True
    for grant in taken:
        _take(room, grant, -1)
    _leave(draft, room, leases, 1)
    return False


def _take(room: Room, grant: Grant, sign: int) -> None:
    room.shift(grant.who.needs, sign)
    room.seats[grant.agent].shift(grant.who.project, grant.who.slots, grant.who.needs, sign)
