from django.urls import path

from pki.endpoints import health
from pki.endpoints.metrics import metrics

urlpatterns = [
    path("metrics", metrics),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]
