from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from pki.admin.people import login, own_password

# Here and not when Django starts: half of what a command would load is the console.
admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", include(login.urls)),
    path("admin/", include(own_password.urls)),
    path("admin/", admin.site.urls),
]

handler500 = "portal.failures.console_failed"
