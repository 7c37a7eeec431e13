"""The pages of the console, one controller a page, by the task of the reader.

``events/``          what happened at the door: live, records, alarms, statistics, and saved views of them
``people/``          people, attendance, schedules, corrections, and who is inside
``terminals/``       the terminals that push here, and what they sent that was not accepted
``fleet/``           terminals that are managed over the network
``destinations/``    where events are forwarded to
``administration/``  first start, login, accounts, settings, system, help
"""
