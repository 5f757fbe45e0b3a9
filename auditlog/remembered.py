"""What was made of values, kept for when they come again."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(dict[Key, Value], Generic[Key, Value]):
    """What `make` makes of each key: of the `size` that came last, and of as many before them at most.

    A dict whose `__getitem__` is given to `map`, so that Python runs only for values that did not come lately.
    """

    def __init__(self, make: Callable[[Key], Value], *, size: int) -> None:
        super().__init__()
        self._make = make
        self._size = size
        self._older: dict[Key, Value] = {}

    def __missing__(self, key: Key) -> Value:
        if len(self) >= self._size:
            self._older = dict(self)
            self.clear()
        value = self[key] = self._older[key] if key in self._older else self._make(key)
        return value
