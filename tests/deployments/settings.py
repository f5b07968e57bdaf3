"""The names of settings that Hatchery reads from its environment."""

import re

from tests.server import ROOT

# Names of settings stand in portal/settings.py as words of their own, in quotes.
READ = frozenset(re.findall(r'"([A-Z][A-Z_]+)"', (ROOT / "portal" / "settings.py").read_text()))
