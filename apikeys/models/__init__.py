"""What the store keeps of credentials."""

from apikeys.models.api_key import ApiKey
from apikeys.models.connected_app import ConnectedApp

__all__ = ["ApiKey", "ConnectedApp"]
