"""What an agent remembers of attempts that are over: their results, so that whoever missed one can hear it again."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

LIMIT = 32 * 1024**2  # bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to be sent; an empty one stands for an attempt of which nothing is to be said."""

    subject: str = ""
    payload: bytes = b""
    id: str = ""
    traceparent: str | None = None


NOTHING = Letter()


class Memory(Generic[K]):
    """Letters by attempt; the oldest are forgotten when there are too many."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._size = limit, 0
        self._letters: OrderedDict[K, Letter] = OrderedDict()

    def get(self, key: K) -> Letter | None:
        """Return what was said about an attempt; None if nothing is known of it."""
        return self._letters.get(key)

    def keep(self, key: K, letter: Letter) -> None:
        """Remember what was said about an attempt."""
        self._size += _cost(letter) - _cost(self._letters.pop(key, None))
        self._letters[key] = letter
        while self._size > self._limit:
            self._size -= _cost(self._letters.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._letters)


def _cost(letter: Letter | None) -> int:
    return len(letter.payload) + 400 if letter else 0
