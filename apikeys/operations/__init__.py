"""Whole business actions: rows, audit entry and revision in one transaction."""
