"""The audit trail as a chain of hashes, and the checkpoints that are signed over it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0024_revoked_serials'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditChain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='What tells it from other chains; random, hex.', max_length=32)),
                ('begun_at', models.DateTimeField()),
                ('sealed_below', models.BigIntegerField(default=1)),
                ('settling_below', models.BigIntegerField(default=1)),
                ('settled_by', models.BigIntegerField(default=0, help_text='The first transaction of a later time.')),
                ('sent_position', models.BigIntegerField(default=0, help_text='Sent to syslog up to there.')),
                ('sent_hash', models.CharField(blank=True, help_text='Of the event there, hex.', max_length=64)),
                ('sent_checkpoint', models.BigIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('position', models.BigIntegerField(help_text='1, 2, 3, … without a gap.', primary_key=True, serialize=False)),
                ('hash', models.BinaryField(help_text='SHA-256 of the hash before and this event; 32 bytes.')),
                ('event', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='seal', to='pki.auditevent')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AuditSigner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_reference', models.CharField(help_text='Where the keystore finds it.', max_length=128, unique=True)),
                ('public_key', models.BinaryField(help_text='SubjectPublicKeyInfo (RFC 5280 4.1.2.7), DER.')),
                ('fingerprint', models.CharField(help_text='SHA-256 of that, lower-case hex.', max_length=64, unique=True)),
                ('made_at', models.DateTimeField()),
                ('statement', models.TextField(blank=True, help_text='What that one signed of this one.')),
                ('signature', models.BinaryField(default=b'', help_text='ECDSA with SHA-256 over the statement, DER.')),
                ('endorsed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='endorsed', to='pki.auditsigner')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField(help_text='1, 2, 3, … without a gap.', unique=True)),
                ('count', models.BigIntegerField(help_text="How many events are sealed, which is the last one's position.")),
                ('last_event', models.BigIntegerField()),
                ('at', models.DateTimeField()),
                ('statement', models.TextField(help_text='What is signed.')),
                ('signature', models.BinaryField(help_text='ECDSA with SHA-256 over the statement, DER.')),
                ('signer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='checkpoints', to='pki.auditsigner')),
            ],
            options={
                'default_permissions': ('view',),
            },
        ),
    ]
