"""Wiring: settings, addresses, processes. The rules live in accounts, apikeys and auditlog."""

from keyportal.celery import app as celery_app

__all__ = ["celery_app"]
