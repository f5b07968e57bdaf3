"""Where proxies ask, on two listeners."""

from django.urls import re_path

from pki.endpoints.authorize import authorize

# Envoy adds the path that it asks about, whatever characters that has.
asked_by_proxies = re_path(r"^authorize(?:/[\s\S]*)?\Z", authorize)
