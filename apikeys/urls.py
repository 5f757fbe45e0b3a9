from django.urls import path

from apikeys.views import api_key

app_name = "apikeys"

urlpatterns = [
    path("", api_key.page, name="api-key"),
    path("create/", api_key.create, name="api-key-create"),
    path("show/", api_key.show, name="api-key-show"),
    path("rotate/", api_key.rotate, name="api-key-rotate"),
    path("deactivate/", api_key.deactivate, name="api-key-deactivate"),
    path("first-steps/dismiss/", api_key.dismiss_first_steps, name="first-steps-dismiss"),
    path("previous/", api_key.previous, name="api-key-previous"),
]
