from django.db import migrations, models


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
    ]
