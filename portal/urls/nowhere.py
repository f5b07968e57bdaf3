"""For requests whose listener is not known: nothing."""

urlpatterns: list[object] = []
handler400 = "pki.endpoints.problems.bad_request"
handler404 = "pki.endpoints.problems.not_found"
handler500 = "pki.endpoints.problems.server_error"
