"""Who may see checkpoints."""

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

# Who may see the audit log.
ROLES = ("CA administrator", "Auditor")


def allow(apps, schema_editor):
    using = schema_editor.connection.alias
    create_permissions(current_apps.get_app_config("pki"), verbosity=0, using=using, apps=apps)
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    see = Permission.objects.using(using).filter(content_type__app_label="pki", codename="view_auditcheckpoint")
    for group in Group.objects.using(using).filter(name__in=ROLES):
        group.permissions.add(*see)


class Migration(migrations.Migration):
    dependencies = [("pki", "0025_audit_chain")]
    operations = [migrations.RunPython(allow, migrations.RunPython.noop)]
