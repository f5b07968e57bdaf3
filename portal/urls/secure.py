from django.urls import path

from pki.endpoints.secure import secure, whoami
from portal.urls.authorize import asked_by_proxies

urlpatterns = [path("secure", secure), path("whoami", whoami), asked_by_proxies]
handler400 = "pki.endpoints.problems.bad_request"
handler404 = "pki.endpoints.problems.not_found"
handler500 = "pki.endpoints.problems.server_error"
