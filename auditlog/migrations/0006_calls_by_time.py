"""On SQLite: an index of times, by which calls are found that a gateway told of. On PostgreSQL there is one already."""

from django.db import migrations


def index_times(apps, schema_editor):
    if schema_editor.connection.vendor == 'sqlite':
        schema_editor.execute('CREATE INDEX call_at ON auditlog_call (at)')


class Migration(migrations.Migration):

    dependencies = [
        ('auditlog', '0005_size_of_calls'),
    ]

    operations = [
        migrations.RunPython(index_times, migrations.RunPython.noop),
    ]
