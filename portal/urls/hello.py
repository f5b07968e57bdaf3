from django.urls import path

from pki.endpoints.hello import hello
from pki.endpoints.openapi.views import openapi

urlpatterns = [path("hello", hello), path("openapi.json", openapi)]
