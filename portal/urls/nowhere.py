"""For requests whose listener is not known: nothing."""

urlpatterns: list[object] = []
