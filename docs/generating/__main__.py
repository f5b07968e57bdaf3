"""`python -m docs.generating`: write the pages anew."""

import os

import django

# Hatchery's defaults, whatever a developer has in .env.
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from docs.generating.pages import FOLDER, PAGES  # noqa: E402

for name, page in PAGES.items():
    (FOLDER / name).write_text(page())
    print(f"Wrote docs/reference/{name}.")
