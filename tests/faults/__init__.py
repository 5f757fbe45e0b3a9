"""Promises under faults: processes killed, disks failing, clocks wrong."""
