from django.urls import path

from pki.endpoints.ca_bundle import ca_bundle_to_devices
from pki.endpoints.openapi.views import openapi_to_devices
from pki.endpoints.own_bundle import own_bundle
from pki.endpoints.renew import renew, renewal_info
from pki.endpoints.secure import secure, whoami
from portal.urls.authorize import asked_by_proxies

urlpatterns = [
    path("secure", secure),
    path("renewal-info", renewal_info),
    path("renew", renew),
    path("whoami", whoami),
    path("ca-bundle", ca_bundle_to_devices),
    path("bundle", own_bundle),
    asked_by_proxies,
    path("openapi.json", openapi_to_devices),
]
