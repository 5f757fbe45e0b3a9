from django.urls import path

from apikeys.views import api_key, connected_apps

app_name = "apikeys"

urlpatterns = [
    path("api-key/", api_key.page, name="api-key"),
    path("api-key/create/", api_key.create, name="api-key-create"),
    path("api-key/show/", api_key.show, name="api-key-show"),
    path("api-key/rotate/", api_key.rotate, name="api-key-rotate"),
    path("api-key/deactivate/", api_key.deactivate, name="api-key-deactivate"),
    path("api-key/first-steps/dismiss/", api_key.dismiss_first_steps, name="first-steps-dismiss"),
    path("api-key/previous/", api_key.previous, name="api-key-previous"),
    path("connected-apps/", connected_apps.page, name="connected-apps"),
    path(
        "connected-apps/<uuid:connection_id>/disconnect/",
        connected_apps.disconnect,
        name="connected-apps-disconnect",
    ),
]
