"""Who may see and steer renewals, campaigns, trust bundles and notices."""

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

SEE = (
    "view_campaign",
    "view_campaignmember",
    "view_crosscertificate",
    "view_delivery",
    "view_expirywarning",
    "view_notice",
    "view_renewal",
    "view_trustbundle",
    "view_webhook",
)
CAMPAIGNS = ("add_campaign", "change_campaign")  # start, pause, go on, roll back
DELIVER = ("change_delivery",)  # try again
CHANNELS = ("add_webhook", "change_webhook", "delete_webhook")
ROLES = {
    "Viewer": SEE,
    "Operator": SEE + CAMPAIGNS + DELIVER,
    "CA administrator": SEE + CAMPAIGNS + DELIVER + CHANNELS,
    "Auditor": SEE,
}


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


class Migration(migrations.Migration):
    dependencies = [("pki", "0015_renewal")]
    operations = [migrations.RunPython(allow, migrations.RunPython.noop)]
