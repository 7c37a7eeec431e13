"""Find people and their passages, and keep what the office says of them.

``forms``         the forms of a person's data that are still there
``groups``        groups of people with one name
``identities``    rows of people's data, as each record has them
``inside``        people who are inside
``joined``        several numbers that are one person
``marked``        people whom guards look out for
``move_preview``  what a move of a terminal would change
``moving``        passages that move with their terminal
``passage_rule``  what counts as a passage
``people``        the list of people, and one person
``person``        a person as they were last seen, and the query for people
``shifts``        which passages belong together
``staff``         names and departments, imported by the office
"""
