"""The embedded installation's queue: a SQLite file, asked often and briefly, so that a stop need not wait for it."""

from typing import Any

from kombu.transport import sqlalchemy


class EmbeddedBroker(sqlalchemy.Transport):
    polling_interval = 0.25  # seconds; no option of the URL, since create_engine() takes those

    def drain_events(self, connection: Any, timeout: Any = None, **_: Any) -> Any:  # noqa: ARG002 -- Celery means two seconds
        return super().drain_events(connection, timeout=self.polling_interval)  # type: ignore[no-untyped-call] # kombu has no types here
