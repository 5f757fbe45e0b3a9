from django.urls import path

from apikeys.views import api_key, connected_apps, rotation

app_name = "apikeys"

urlpatterns = [
    path("api-key/", api_key.page, name="api-key"),
    path("api-key/create/", api_key.create, name="api-key-create"),
    path("api-key/show/", api_key.show, name="api-key-show"),
    path("api-key/rotate/", api_key.rotate, name="api-key-rotate"),
    path("api-key/deactivate/", api_key.deactivate, name="api-key-deactivate"),
    path("api-key/first-steps/dismiss/", api_key.dismiss_first_steps, name="first-steps-dismiss"),
    path("api-key/plan/", rotation.plan, name="api-key-plan"),
    path("api-key/plan/show/", rotation.show_prepared, name="api-key-plan-show"),
    path("api-key/plan/cancel/", rotation.cancel_plan, name="api-key-plan-cancel"),
    path("api-key/snooze/", rotation.snooze, name="api-key-snooze"),
    path("api-key/snooze/end/", rotation.end_snooze, name="api-key-snooze-end"),
    path("api-key/hand-over/", rotation.hand_over, name="api-key-hand-over"),
    path("api-key/hand-over/end/", rotation.end_handover, name="api-key-hand-over-end"),
    path("api-key/previous/", api_key.previous, name="api-key-previous"),
    path("connected-apps/", connected_apps.page, name="connected-apps"),
    path(
        "connected-apps/<uuid:connection_id>/disconnect/",
        connected_apps.disconnect,
        name="connected-apps-disconnect",
    ),
]
