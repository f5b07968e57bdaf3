from django.urls import path, re_path

from pki.endpoints import crl, health, ocsp, publish
from pki.endpoints.ca_bundle import ca_bundle
from pki.endpoints.openapi.views import openapi
from portal.urls.authorize import asked_by_proxies

# Each address in one writing only: caches and ETags go by it.
_ISSUER = r"(?P<key_identifier>[0-9a-f]{1,40})"
_SHARD = r"(?P<shard>[1-9][0-9]{0,8})"

urlpatterns = [
    # First what is asked most often: addresses are tried in this order.
    # Clients that add GET's path to the address post there too (RFC 6960 A.1).
    re_path(r"^ocsp/?\Z", ocsp.post),
    # Whatever the path has, a line break too: what is no base64 gets an OCSP error.
    re_path(r"^ocsp/(?P<encoded>[\s\S]+)\Z", ocsp.get),
    path("ca-bundle", ca_bundle),
    path("ca/bundle.pem", publish.trust_bundle),
    path("ca/all.pem", publish.verifiers_bundle),
    path("ca/<slug:key_identifier>.crt", publish.ca_certificate),
    path("ca/<slug:key_identifier>.pem", publish.ca_chain),
    path("crl/all.pem", crl.all_lists),
    re_path(rf"^crl/{_ISSUER}\.(?P<form>crl|pem)\Z", crl.revocation_list),
    re_path(rf"^crl/{_ISSUER}/delta\.crl\Z", crl.delta),
    re_path(rf"^crl/{_ISSUER}/{_SHARD}\.(?P<form>crl|pem)\Z", crl.revocation_list),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    asked_by_proxies,
    path("openapi.json", openapi),
]
