"""Who may see lists and responders, and since when issuers are compromised."""

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

SEE = ("view_revocationlist", "view_responder")
PUBLISH = ("change_revocationlist",)  # publish now
ROLES = {"Viewer": SEE, "Operator": SEE + PUBLISH, "CA administrator": SEE + PUBLISH, "Auditor": SEE}


def allow(apps, schema_editor):
    using = schema_editor.connection.alias
    create_permissions(current_apps.get_app_config("pki"), verbosity=0, using=using, apps=apps)
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for role, codenames in ROLES.items():
        for group in Group.objects.using(using).filter(name=role):
            group.permissions.add(
                *Permission.objects.using(using).filter(
                    content_type__app_label="pki", codename__in=codenames
                )
            )


def date_compromises(apps, schema_editor):
    using = schema_editor.connection.alias
    Issuer = apps.get_model("pki", "Issuer")
    AuditEvent = apps.get_model("pki", "AuditEvent")
    declared = {
        event.detail.get("issuer"): event.at
        for event in AuditEvent.objects.using(using).filter(kind="issuer.compromised")
    }
    for issuer in Issuer.objects.using(using).filter(state="compromised"):
        issuer.compromised_at = declared.get(issuer.name, issuer.created_at)
        issuer.save(update_fields=["compromised_at"])


class Migration(migrations.Migration):
    dependencies = [("pki", "0012_revocation_lists")]
    operations = [
        migrations.RunPython(allow, migrations.RunPython.noop),
        migrations.RunPython(date_compromises, migrations.RunPython.noop),
    ]
