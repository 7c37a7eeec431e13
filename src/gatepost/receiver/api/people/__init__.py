"""Routes of people: who they are, when they were here, and when they should be.

``people``       people and groups
``staff``        import of names, departments and numbers
``marks``        people to look out for
``joins``        several numbers that are one person
``inside``       who is inside, now and at a time
``erasure``      erasing a person
``attendance``   shifts by day and by month
``attended``     the shapes of shifts, absences and corrections
``schedules``    schedules and holidays
``assignments``  who has which schedule, and from which day
``corrections``  passages that are added or struck by hand
"""
