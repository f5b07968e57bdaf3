"""Django's settings with django-ca in them, as its documentation adds it to what `startproject` makes.

Read from the environment: SITE_FOLDER (a path) and SITE_PASSWORD_HASHER (a class, if not Django's default).
"""

import os
import secrets
from pathlib import Path

from django.conf import global_settings

FOLDER = Path(os.environ["SITE_FOLDER"])
SECRET_KEY = secrets.token_urlsafe(50)  # no session outlives the benchmark
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_object_actions",
    "django_ca",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
# As Hatchery has SQLite: each thread keeps its connection, a commit is on disk, a writer waits for the other.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "django-ca.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
        },
    }
}
STORAGES = {
    **global_settings.STORAGES,
    "django-ca": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": FOLDER / "ca", "file_permissions_mode": 0o600},
    },
}
PASSWORD_HASHERS = [os.environ.get("SITE_PASSWORD_HASHER") or global_settings.PASSWORD_HASHERS[0]]

CA_DEFAULT_HOSTNAME = "localhost"
CA_DEFAULT_SIGNATURE_HASH_ALGORITHM = "SHA-256"
CA_DEFAULT_EXPIRES = 90  # days
CA_DEFAULT_PROFILE = "client"
CA_ENABLE_REST_API = True
CA_ENABLE_ACME = False
CA_USE_CELERY = False  # it signs before it answers
