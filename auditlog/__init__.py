"""What happened: the audit log (who touched what) and the call log (which calls were made)."""
