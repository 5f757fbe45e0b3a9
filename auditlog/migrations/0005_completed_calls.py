from django.db import migrations, models


def index_times(apps, schema_editor):
    """What gateways tell of calls is found by time; on PostgreSQL the partitions see to that."""
    if schema_editor.connection.vendor == 'sqlite':
        schema_editor.execute('CREATE INDEX call_at ON auditlog_call (at)')


class Migration(migrations.Migration):

    dependencies = [
        ('auditlog', '0004_partitions'),
    ]

    operations = [
        migrations.AddField(
            model_name='call',
            name='size',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.RunPython(index_times, migrations.RunPython.noop),
    ]
