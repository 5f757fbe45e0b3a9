"""Secrets, and the calls made with them."""
