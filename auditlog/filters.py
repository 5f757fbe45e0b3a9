"""What the logs can be narrowed down to. Whatever is not a filter, or not a value of one, is refused."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditlog.actions import Action, Category
from auditlog.models import AuditEntry, Call

LONGEST_TEXT = 200
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
STATUS_CLASSES = [
    ("2", gettext_lazy("2xx succeeded")),
    ("3", gettext_lazy("3xx redirected")),
    ("4", gettext_lazy("4xx refused or wrong")),
    ("5", gettext_lazy("5xx failed")),
]
TIMES = ("since", "until")  # which an index serves
NOT_FILTERS = frozenset({"cursor", "follow"})


class BadFilterError(Exception):
    """The query of the address asks for something that the log cannot answer; the text says what."""


class InstantField(forms.Field):
    """A local date and time in the reader's zone, or one with an offset (ISO 8601).

    :param late: which of the two instants is meant where the clock shows an hour twice.
    """

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, *, late: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.late = late

    def to_python(self, value: str | None) -> datetime | None:
        if not value:
            return None
        try:
            if not value.isascii():
                raise ValueError(value)  # noqa: TRY301 -- digits of other scripts would pass below
            at = datetime.fromisoformat(value)
            if at.tzinfo is None:
                at = at.replace(tzinfo=timezone.get_current_timezone(), fold=int(self.late))
            return at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError(_("Enter a date and time, such as 2026-05-04T09:30.")) from None


class InstantFilter(django_filters.Filter):
    field_class = InstantField


class LogFilter(django_filters.FilterSet):
    """Filters that are the whole truth about the address's query."""

    def __init__(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        known = set(self.base_filters) | NOT_FILTERS
        for name, values in request.GET.lists():
            if name not in known:
                raise BadFilterError(_("The log has no filter of that name."))
            if len(values) > 1:
                raise BadFilterError(_("A filter was given twice. Give each one once."))
        super().__init__(request.GET, queryset=queryset, request=request)

    def rows(self) -> QuerySet[Any]:
        """:raises BadFilterError: for a value that is not one of the filter's."""
        if not self.form.is_valid():
            name, errors = next(iter(self.form.errors.items()))
            label = self.form.fields[name].label if name in self.form.fields else ""
            raise BadFilterError(f"{label}: {errors[0]}" if label else str(errors[0]))
        since, until = self.form.cleaned_data.get("since"), self.form.cleaned_data.get("until")
        if since and until and since > until:
            raise BadFilterError(_("The time from which lies after the time until which. Swap them."))
        found: QuerySet[Any] = self.qs
        return found

    def searched(self) -> QuerySet[Any] | None:
        """The rows among which those of other filters than the times are looked for; None if there are none."""
        if not any(self.data.get(name) for name in self.base_filters if name not in TIMES):
            return None
        found: QuerySet[Any] = self.queryset
        for name in TIMES:
            found = self.filters[name].filter(found, self.form.cleaned_data[name])
        return found

    @property
    def is_narrowed(self) -> bool:
        return any(self.data.get(name) for name in self.base_filters)


def _text(label: Any, method: str) -> django_filters.CharFilter:
    return django_filters.CharFilter(label=label, method=method, max_length=LONGEST_TEXT)


class CallFilter(LogFilter):
    method = django_filters.ChoiceFilter(
        label=gettext_lazy("Method"), choices=[(name, name) for name in METHODS], empty_label=gettext_lazy("Any")
    )
    status = django_filters.ChoiceFilter(
        label=gettext_lazy("Status"), choices=STATUS_CLASSES, empty_label=gettext_lazy("Any"), method="in_class"
    )
    credential = django_filters.ChoiceFilter(
        label=gettext_lazy("Credential"), empty_label=gettext_lazy("Any"), field_name="credential_id", choices=()
    )
    path = django_filters.CharFilter(label=gettext_lazy("Path"), lookup_expr="contains", max_length=LONGEST_TEXT)
    caller = _text(gettext_lazy("Caller or address"), "by_caller")
    since = InstantFilter(label=gettext_lazy("From"), field_name="at", lookup_expr="gte")
    until = InstantFilter(label=gettext_lazy("Until"), field_name="at", lookup_expr="lte", late=True)

    class Meta:
        model = Call
        fields: ClassVar[list[str]] = []

    def __init__(self, request: HttpRequest, queryset: QuerySet[Call], *, credentials: list[tuple[str, str]]) -> None:
        super().__init__(request, queryset)
        self.filters["credential"].extra["choices"] = credentials

    def in_class(self, calls: QuerySet[Call], name: str, value: str) -> QuerySet[Call]:  # noqa: ARG002 -- django-filter's signature
        return calls.filter(status__gte=int(value) * 100, status__lt=(int(value) + 1) * 100)

    def by_caller(self, calls: QuerySet[Call], name: str, value: str) -> QuerySet[Call]:  # noqa: ARG002 -- django-filter's signature
        is_caller = Q(agent__icontains=value) | Q(network__istartswith=value) | Q(user_agent__icontains=value)
        return calls.filter(is_caller | Q(address__istartswith=value))


class AuditEntryFilter(LogFilter):
    category = django_filters.ChoiceFilter(
        label=gettext_lazy("Category"), choices=Category.choices, empty_label=gettext_lazy("Any")
    )
    action = django_filters.ChoiceFilter(
        label=gettext_lazy("Action"), choices=Action.choices, empty_label=gettext_lazy("Any")
    )
    person = _text(gettext_lazy("Person"), "by_person")
    since = InstantFilter(label=gettext_lazy("From"), field_name="at", lookup_expr="gte")
    until = InstantFilter(label=gettext_lazy("Until"), field_name="at", lookup_expr="lte", late=True)

    class Meta:
        model = AuditEntry
        fields: ClassVar[list[str]] = []

    def by_person(self, entries: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:  # noqa: ARG002 -- django-filter's signature
        return entries.filter(Q(actor_name__icontains=value) | Q(actor_email__icontains=value))
