from django.urls import path

from accounts import invitation_pages, member_pages, request_pages, role_mailbox_pages, views

app_name = "accounts"

urlpatterns = [
    path("", views.choose, name="choose"),
    path("<slug:slug>/", views.account, name="account"),
    path("<slug:slug>/settings/", views.account_settings, name="settings"),
    path("<slug:slug>/members/", member_pages.members, name="members"),
    path("<slug:slug>/members/invite/", invitation_pages.invite, name="members-invite"),
    path("<slug:slug>/members/leave/", member_pages.leave, name="members-leave"),
    path("<slug:slug>/members/<int:member_id>/", member_pages.role, name="members-role"),
    path("<slug:slug>/members/<int:member_id>/remove/", member_pages.remove, name="members-remove"),
    path(
        "<slug:slug>/invitations/<int:invitation_id>/send-again/",
        invitation_pages.send_again,
        name="invitation-send-again",
    ),
    path(
        "<slug:slug>/invitations/<int:invitation_id>/withdraw/", invitation_pages.withdraw, name="invitation-withdraw"
    ),
    path("<slug:slug>/access-requests/", request_pages.ask, name="access-request"),
    path("<slug:slug>/access-requests/<int:request_id>/dismiss/", request_pages.dismiss, name="access-request-dismiss"),
    path("<slug:slug>/members/role-mailbox/", role_mailbox_pages.page, name="members-role-mailbox"),
    path(
        "<slug:slug>/members/role-mailbox/<int:mailbox_id>/remove/",
        role_mailbox_pages.remove,
        name="members-role-mailbox-remove",
    ),
    path("<slug:slug>/members/roles/", views.roles, name="members-roles"),
]
