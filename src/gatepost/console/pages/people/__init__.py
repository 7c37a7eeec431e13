"""Pages about people, for the personnel office.

``people``       the list of people, and the page of a person: days, mark, joined numbers, erasure
``attendance``   a day or a month of many people, and files of it
``schedules``    schedules, holidays, assignments, and the import of names and departments
``corrections``  passages that were added or struck by hand
``inside``       who is inside, now or at a time
"""
