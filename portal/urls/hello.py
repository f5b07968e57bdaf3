from django.urls import path

from pki.endpoints.hello import hello
from pki.endpoints.openapi.views import openapi

urlpatterns = [path("hello", hello), path("openapi.json", openapi)]
handler400 = "pki.endpoints.problems.bad_request"
handler404 = "pki.endpoints.problems.not_found"
handler500 = "pki.endpoints.problems.server_error"
