from django.urls import path

from accounts import request_pages, views

app_name = "accounts"

urlpatterns = [
    path("", views.choose, name="choose"),
    path("<slug:slug>/", views.account, name="account"),
    path("<slug:slug>/members/", views.members, name="members"),
    path("<slug:slug>/access-requests/", request_pages.ask, name="access-request"),
    path("<slug:slug>/access-requests/<int:request_id>/dismiss/", request_pages.dismiss, name="access-request-dismiss"),
    path("<slug:slug>/members/roles/", views.roles, name="members-roles"),
]
