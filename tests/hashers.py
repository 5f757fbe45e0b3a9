"""How tests hash passwords: as in production, but in a thousandth of the time; people sign in hundreds of times."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2PasswordHasher(Argon2PasswordHasher):
    time_cost = 1
    memory_cost = 8  # KiB
    parallelism = 1
