"""The embedded installation's queue: a SQLite file, asked often and briefly, so that a stop need not wait for it."""

from typing import Any

from kombu.transport import sqlalchemy


class EmbeddedChannel(sqlalchemy.Channel):
    def _get(self, queue: Any, timeout: Any = None) -> Any:  # noqa: ARG002 -- the superclass of kombu's own has it
        """Take the next message. Those taken are kept by kombu as invisible rows, for ever; here they go at once."""
        payload = super()._get(queue)  # type: ignore[no-untyped-call] # kombu has no types here
        taken = self._query_all(queue).filter(self.message_cls.visible.is_(False))  # type: ignore[no-untyped-call] # likewise
        taken.delete(synchronize_session=False)
        self.session.commit()
        return payload


class EmbeddedBroker(sqlalchemy.Transport):
    Channel = EmbeddedChannel
    polling_interval = 0.25  # seconds; no option of the URL, since create_engine() takes those

    def drain_events(self, connection: Any, timeout: Any = None, **_: Any) -> Any:  # noqa: ARG002 -- Celery means two seconds
        return super().drain_events(connection, timeout=self.polling_interval)  # type: ignore[no-untyped-call] # kombu has no types here
