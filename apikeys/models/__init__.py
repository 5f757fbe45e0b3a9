"""What the store keeps of credentials, and of their limits."""

from apikeys.models.api_key import ApiKey
from apikeys.models.connected_app import ConnectedApp
from apikeys.models.connection import Connection
from apikeys.models.limits import BurstShare, BurstTotal, CountingProcess, DayGrant, SharingTerms
from apikeys.models.rotation_care import Handover, Snooze
from apikeys.models.rotation_plan import RotationPlan
from apikeys.models.sunset import Sunset

__all__ = [
    "ApiKey",
    "BurstShare",
    "BurstTotal",
    "ConnectedApp",
    "Connection",
    "CountingProcess",
    "DayGrant",
    "Handover",
    "RotationPlan",
    "SharingTerms",
    "Snooze",
    "Sunset",
]
