"""The protected API as its document (API_SPEC) describes it, read again whenever the file has changed."""

from pathlib import Path
from threading import Event, Thread

import structlog
from django.conf import settings

from apikeys import api_document
from apikeys.api_document import ApiDocumentError
from apikeys.gate.routes import PASSES, Routes, Ruling, Scopes

LOOK_SECONDS = 1.0

Stamp = tuple[int, int, int] | None  # of the file: another one says that it may have changed; None: it is not there

logger = structlog.get_logger(__name__)


class ProtectedApi:
    """Judges by the newest document that was understood; without API_SPEC, by none.

    The thread that looks after the file replaces `routes` whole, so that each call is judged by one document.
    """

    def __init__(self) -> None:
        """:raises ApiDocumentError: if API_SPEC names a document that cannot be read or is not understood."""
        self.path: Path | None = settings.API_SPEC
        self.trouble = ""  # why the file as it is now is not the document that calls are judged by
        self.operations = 0
        self._refuse_unknown = settings.API_UNKNOWN_ROUTES == "refuse"
        self._routes: Routes | None = None
        self._stopping = Event()
        self._thread = Thread(target=self._look_on, name="api-document", daemon=True)
        if self.path is not None:
            self._seen = _stamp(self.path)
            self._read(self.path)

    def start(self) -> None:
        if self.path is not None:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def bounds(self, scopes: Scopes) -> bool:
        """Whether calls with these scopes need `rule`: the account key's do only where unknown routes are refused."""
        return self.path is not None and (scopes is not None or self._refuse_unknown)

    def rule(self, scopes: Scopes, method: bytes, path: bytes) -> Ruling:
        return self._routes.rule(scopes, method, path) if self._routes else PASSES

    # --- The file ---------------------------------------------------------------------------------------------------
    def _look_on(self) -> None:
        while self.path is not None and not self._stopping.wait(LOOK_SECONDS):
            stamp = _stamp(self.path)
            if stamp == self._seen:
                continue
            self._seen = stamp  # as of before it is read: what is written meanwhile is read the next time
            try:
                self._read(self.path)
            except ApiDocumentError as failure:
                self.trouble = str(failure)
                logger.error("api_document_broken", error=self.trouble, kept=self.operations)  # noqa: TRY400 -- says it all
            else:
                logger.warning("api_document_read", operations=self.operations)

    def _read(self, path: Path) -> None:
        operations = api_document.read(path)
        try:
            self._routes = Routes(operations, refuse_unknown=self._refuse_unknown)
        except ValueError as failure:
            raise ApiDocumentError(f"{path.name}: {failure}") from None
        self.operations, self.trouble = len(operations), ""


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
