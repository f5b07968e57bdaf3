"""Serials that an imported CA has revoked, of whose certificates nobody brought a copy."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pki', '0023_no_permissions_on_warnings'),
    ]

    operations = [
        migrations.CreateModel(
            name='RevokedSerial',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('serial', models.CharField(help_text='Lower-case hex, without leading zeros.', max_length=40)),
                ('subject', models.CharField(help_text="Whose it was, as the CA's own records say.", max_length=512)),
                ('reason', models.CharField(choices=[('unspecified', 'unspecified: no reason given'), ('keyCompromise', 'keyCompromise: the key, or the device, is in wrong hands'), ('affiliationChanged', 'affiliationChanged: its names are no longer true'), ('superseded', 'superseded: a newer certificate replaces it'), ('cessationOfOperation', 'cessationOfOperation: the device is gone'), ('certificateHold', 'certificateHold: stopped for the time being'), ('privilegeWithdrawn', 'privilegeWithdrawn: it may no longer do this')], max_length=32)),
                ('revoked_at', models.DateTimeField()),
                ('not_after', models.DateTimeField()),
                ('issuer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='revoked_serials', to='pki.issuer')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('issuer', 'serial'), name='revoked_serial_unique')],
            },
        ),
    ]
