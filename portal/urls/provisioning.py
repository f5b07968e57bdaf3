from django.urls import path

from pki.endpoints.ca_bundle import ca_bundle
from pki.endpoints.enroll import ask_again, sign_csr
from pki.endpoints.openapi.views import openapi

urlpatterns = [
    path("sign-csr", sign_csr),
    path("ca-bundle", ca_bundle),
    path("enrollments/<uuid:request_id>", ask_again, name="enrollment"),
    path("openapi.json", openapi),
]
