from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("", views.choose, name="choose"),
    path("<slug:slug>/", views.account, name="account"),
    path("<slug:slug>/members/", views.members, name="members"),
    path("<slug:slug>/members/roles/", views.roles, name="members-roles"),
]
