"""The way to an address's open invitations; on PostgreSQL made while the portal runs."""

from django.db import migrations, models
from django.db.models.functions import Lower

INDEX = models.Index(
    Lower("email"),
    condition=models.Q(("accepted_at__isnull", True), ("withdrawn_at__isnull", True)),
    name="invitation_open_to",
)


def _beside_what_runs(schema_editor):
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}


def add(apps, schema_editor):
    schema_editor.add_index(apps.get_model("accounts", "Invitation"), INDEX, **_beside_what_runs(schema_editor))


def remove(apps, schema_editor):
    schema_editor.remove_index(apps.get_model("accounts", "Invitation"), INDEX, **_beside_what_runs(schema_editor))


class Migration(migrations.Migration):
    atomic = False  # as CREATE INDEX CONCURRENTLY asks

    dependencies = [("accounts", "0010_owed_mails_by_recipient")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add, remove)],
            state_operations=[migrations.AddIndex("invitation", INDEX)],
        )
    ]
