"""How dates and times are written (Django's `date` filter). Each language here has every one of these names."""

DATE_FORMAT = "M j, Y"
LONG_DATE_FORMAT = "F j, Y"
WEEKDAY_FORMAT = "D, M j"  # where the year goes without saying
TIME_FORMAT = "g:i:s A"
HOUR_FORMAT = "g A"
DATETIME_FORMAT = "M j, Y, g:i:s A"
RECENT_DATETIME_FORMAT = "M j, g:i:s A"  # likewise
LONG_DATETIME_FORMAT = "F j, Y, g:i A T"
WEEKDAY_DATETIME_FORMAT = "l, F j, Y, g:i A T"  # for what lies ahead, which nobody plans to the second
FULL_DATETIME_FORMAT = "l, F j, Y, g:i:s A T"
