"""Find people, their passages and their attendance.

``attendance``    first in, last out and hours, by person and shift
``groups``        groups of people with one name
``identities``    rows of people's data, as each record has them
``move_preview``  what a move of a terminal would change
``moving``        passages that move with their terminal
``passage_rule``  what counts as a passage
``people``        the list of people, and one person
``person_day``    the shifts and passages of one person on one day
``shifts``        which passages belong together
"""
