"""The roles: groups with the permissions that belong to each. What an administrator changes of them later stays."""

from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

EVERYTHING_BUT_THE_AUDIT_LOG = (
    "view_certificate",
    "view_device",
    "view_devicegroup",
    "view_enrollmentrequest",
    "view_enrollmenttoken",
    "view_issuer",
    "view_label",
    "view_lastseen",
    "view_profile",
    "view_revocation",
)
DEVICES = (
    "add_certificate",  # issue by hand, under a profile
    "add_device",
    "change_device",
    "add_devicegroup",
    "change_devicegroup",
    "add_enrollmenttoken",
    "change_enrollmenttoken",  # cancel
    "change_enrollmentrequest",  # approve, reject, allow once
    "add_revocation",
    "delete_revocation",  # lift a hold
)
AUTHORITIES = ("add_issuer", "change_issuer", "add_profile", "change_profile")
AUDIT = ("view_auditevent",)

ROLES = {
    "Viewer": EVERYTHING_BUT_THE_AUDIT_LOG,
    "Operator": EVERYTHING_BUT_THE_AUDIT_LOG + DEVICES,
    "CA administrator": EVERYTHING_BUT_THE_AUDIT_LOG + DEVICES + AUTHORITIES + AUDIT,
    "Auditor": EVERYTHING_BUT_THE_AUDIT_LOG + AUDIT + ("view_loginkey",),
}
OF_USERS = {"Auditor": ("view_user", "view_group")}


def make_roles(apps, schema_editor):
    using = schema_editor.connection.alias if schema_editor else "default"
    # Django makes permissions only once all migrations are done; these are needed now.
    for label in ("auth", "pki"):
        create_permissions(current_apps.get_app_config(label), verbosity=0, using=using, apps=apps)
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for role, codenames in ROLES.items():
        group, new = Group.objects.using(using).get_or_create(name=role)
        if not new:
            continue
        of_pki = Permission.objects.using(using).filter(content_type__app_label="pki", codename__in=codenames)
        of_users = Permission.objects.using(using).filter(
            content_type__app_label="auth", codename__in=OF_USERS.get(role, ())
        )
        group.permissions.set([*of_pki, *of_users])


class Migration(migrations.Migration):
    dependencies = [
        ("pki", "0003_alt_names"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
