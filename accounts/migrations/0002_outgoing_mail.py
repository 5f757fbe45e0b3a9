import uuid

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='OutgoingMail',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=64)),
                ('about', models.CharField(max_length=64)),
                ('to', models.EmailField(max_length=254)),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('claimed_until', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('sent_at', models.DateTimeField(null=True)),
                ('dropped_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'outgoing mail',
                'verbose_name_plural': 'outgoing mails',
                'indexes': [models.Index(condition=models.Q(('dropped_at__isnull', True), ('sent_at__isnull', True)), fields=['due_at'], name='outgoingmail_owed')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'about', 'to'), name='outgoingmail_once'), models.CheckConstraint(condition=models.Q(('sent_at__isnull', True), ('dropped_at__isnull', True), _connector='OR'), name='outgoingmail_ends_once')],
            },
        ),
    ]
