"""The way to all mails that are owed to one address; on PostgreSQL made while the portal runs."""

from django.db import migrations, models

INDEX = models.Index(
    condition=models.Q(("dropped_at__isnull", True), ("sent_at__isnull", True)),
    fields=["to"],
    name="outgoingmail_owed_to",
)


def _beside_what_runs(schema_editor):
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}


def add(apps, schema_editor):
    schema_editor.add_index(apps.get_model("accounts", "OutgoingMail"), INDEX, **_beside_what_runs(schema_editor))


def remove(apps, schema_editor):
    schema_editor.remove_index(apps.get_model("accounts", "OutgoingMail"), INDEX, **_beside_what_runs(schema_editor))


class Migration(migrations.Migration):
    atomic = False  # as CREATE INDEX CONCURRENTLY asks

    dependencies = [("accounts", "0009_digests")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add, remove)],
            state_operations=[migrations.AddIndex("outgoingmail", INDEX)],
        )
    ]
