"""Find the attendance of people, and keep what it is compared with.

``attendance``        first in, last out and hours, by person and shift
``attended``          shifts of people on local days
``corrections``       passages that are added or struck, with a note
``person_day``        the shifts and passages of one person on one day
``plans``             which schedule is a person's on which day
``schedules``         what a shift is like, compared with its schedule
``stored_schedules``  schedules, holidays, and whose schedule is which
"""
