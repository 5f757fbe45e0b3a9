"""The poll: has anything changed since, and is this still the store that was read before? (G1)"""

from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from apikeys.gate.clock import boot_seconds
from apikeys.gate.store import Base, in_recovery, unix_time

CHANGES_LIMIT = 1_000  # with more than these, everything is dropped

# Without a base, the newest change alone.
_POLL = """
    SELECT r.number, n.mark, {in_recovery}, {unix_time}, c.revision, c.mark, c.account_id
    FROM (SELECT COALESCE(MAX(number), 0) AS number FROM accounts_revision) r
    LEFT JOIN accounts_change n ON n.revision = r.number
    LEFT JOIN accounts_change c ON c.revision >= COALESCE(%s, r.number)
    ORDER BY c.revision
    LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Poll:
    """What a poll brought."""

    asked_at: float  # boot seconds, taken before the poll was sent
    said: float  # Unix seconds by the store's clock, read after that
    seen: Base
    everything: bool  # drop all that is kept
    accounts: frozenset[int]  # drop what is kept of these
    set_back: bool  # the store lacks what was seen before: restored, or failed over to a replica that was behind


def poll(store: BaseDatabaseWrapper, base: Base) -> Poll:
    """Ask once. What the answer has seen is the base of the next poll, and of reads from then on.

    :raises django.db.Error: if the store cannot be asked, or is one that only follows another.
    """
    asked_at = boot_seconds()
    with store.cursor() as cursor:
        asked = _POLL.format(in_recovery=in_recovery(store), unix_time=unix_time(store))
        cursor.execute(asked, [base.revision, CHANGES_LIMIT + 2])
        rows = cursor.fetchall()
    number, mark, following, said = rows[0][:4]
    if following:
        raise OperationalError("The store is in recovery: it may lack the newest changes.")
    changes = [row[4:] for row in rows if row[4] is not None]
    marks = {revision: mark for revision, mark, _ in changes}
    newer = [account_id for revision, _, account_id in changes if base.revision is None or revision > base.revision]
    return Poll(
        asked_at=asked_at,
        said=said,
        seen=Base(number, mark),
        everything=_lacks_base(base, marks) or len(newer) > CHANGES_LIMIT or None in newer,
        accounts=frozenset(account_id for account_id in newer if account_id is not None),
        set_back=_is_set_back(base, number, marks),
    )


def _is_set_back(base: Base, number: int, marks: dict[int, int]) -> bool:
    if base.revision is None:
        return False
    return number < base.revision or (base.mark is not None and marks.get(base.revision, base.mark) != base.mark)


def _lacks_base(base: Base, marks: dict[int, int]) -> bool:
    """Whether the change that was seen last has been pruned: others may have been, unseen."""
    return bool(base.revision) and base.revision not in marks
