"""Keep what the receivers of one database share.

``changed_settings``  settings that were changed while a receiver ran
``leases``            which receiver alone does something
``receivers``         the receivers, and what each has not listed yet
``setup_steps``       steps of the first start that are done
"""
