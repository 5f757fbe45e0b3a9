"""Request ids: a UUID a call, for a tenth of what `uuid4` costs."""

import secrets
from itertools import count
from uuid import UUID

NODE = 2**48


class RequestIds:
    """UUIDs of version 8 (RFC 9562, 5.8): 74 random bits of the process, then a counter of 48 that starts anywhere."""

    def __init__(self) -> None:
        random = secrets.randbits(128) & ~(NODE - 1)
        self.base = random & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)
        self.prefix = str(UUID(int=self.base)).encode()[:24]
        self.next_number = count(secrets.randbits(47)).__next__  # thread-safe: one C call

    def text(self, number: int) -> bytes:
        return b"%s%012x" % (self.prefix, number)

    def uuid(self, number: int) -> UUID:
        return UUID(int=self.base + number)
