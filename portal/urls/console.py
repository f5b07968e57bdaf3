from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from pki.admin.people import login

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", include(login.urls)),
    path("admin/", admin.site.urls),
]
