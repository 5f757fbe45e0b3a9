from django.urls import path

from auditlog.views import calls, entries, usage

app_name = "auditlog"

urlpatterns = [
    path("calls/", calls.log, name="calls"),
    path("usage/", usage.usage, name="usage"),
    path("audit-log/", entries.log, name="audit-log"),
    path("audit-log/<int:entry_id>/", entries.entry, name="audit-log-entry"),
]
