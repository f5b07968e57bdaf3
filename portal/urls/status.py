from django.urls import path

from pki.endpoints.publish import ca_certificate, healthz

urlpatterns = [path("ca/<slug:key_identifier>.crt", ca_certificate), path("healthz", healthz)]
handler400 = "pki.endpoints.problems.bad_request"
handler404 = "pki.endpoints.problems.not_found"
handler500 = "pki.endpoints.problems.server_error"
