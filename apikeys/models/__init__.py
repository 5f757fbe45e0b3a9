"""What the store keeps of credentials."""

from apikeys.models.api_key import ApiKey

__all__ = ["ApiKey"]
