from django.urls import path

from pki.endpoints.secure import secure, whoami

urlpatterns = [path("secure", secure), path("whoami", whoami)]
handler400 = "pki.endpoints.problems.bad_request"
handler404 = "pki.endpoints.problems.not_found"
handler500 = "pki.endpoints.problems.server_error"
