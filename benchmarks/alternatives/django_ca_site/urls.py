"""django-ca's URLs, where its documentation puts them."""

from django.urls import include, path

urlpatterns = [path("django_ca/", include("django_ca.urls"))]
