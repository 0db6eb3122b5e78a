"""Executed by every Python process of a drill: lets the disk have no room for the record of one cell."""

import os

if os.environ.get("DRILL_FULL"):
    from tests.drill.breaking import refuse_record

    refuse_record(os.environ["DRILL_FULL"])
