"""Clients that KeyPortal's authors did not write, against a server as it runs in production."""
