"""The reminders' way through the oldest keys; on PostgreSQL made while the portal runs."""

from django.db import migrations, models

INDEX = models.Index(
    fields=["created_at", "id"], condition=models.Q(deactivated_at__isnull=True), name="apikey_active_by_age"
)


def _beside_what_runs(schema_editor):
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}


def add(apps, schema_editor):
    schema_editor.add_index(apps.get_model("apikeys", "ApiKey"), INDEX, **_beside_what_runs(schema_editor))


def remove(apps, schema_editor):
    schema_editor.remove_index(apps.get_model("apikeys", "ApiKey"), INDEX, **_beside_what_runs(schema_editor))


class Migration(migrations.Migration):
    atomic = False  # as CREATE INDEX CONCURRENTLY asks

    dependencies = [("apikeys", "0003_connections")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add, remove)],
            state_operations=[migrations.AddIndex("apikey", INDEX)],
        )
    ]
