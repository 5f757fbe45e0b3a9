from django.urls import path, re_path

from apikeys.account_api import views
from apikeys.account_api.door import door

app_name = "account_api"

urlpatterns = [
    path("openapi.json", views.openapi, name="openapi"),
    path("docs", views.docs, name="docs"),
    re_path(r"^(?:integrations|account-info)/", door, name="door"),
]
