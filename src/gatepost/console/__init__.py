"""The console: what happened at the door, seen at a glance, in Chinese and English.

``commands``     ``gatepost serve``
``routes``       the console, put together
``pages/``       handlers of pages, by the task of the reader
``input/``       read addresses and forms
``desk``         what every page is made with
``help``         help on every page, and the keys
``show``         values as people read them
``words``        texts in both languages, from ``words/*.toml``
``audit_words``  lines of the audit log in words
``assets``       scripts and styles
``remembered``   counts that every page shows
``simulated``    the simulated terminal of the first start

Rules:

* The server renders every page; a page without its script still lists, filters, pages, acknowledges and approves.
  Scripts make it live, quick and comfortable, and draw charts.
* A page asks the store what the API asks, and every route says the role that it needs, as the API's do
  (:mod:`gatepost.receiver.api.access.authorization`). What somebody may not do is not offered, and refused if asked
  for.
* No word for people stands in a template, a script or a page: all are in ``words/``, side by side in both languages.
* Nothing in an address tells a person's name: what is searched for is sealed (:mod:`gatepost.console.input.seal`).
* Times are shown in the zone of the site where they happened (:mod:`gatepost.console.show`).
* Nothing is loaded from another machine, no script or style stands inline, and what came from a terminal is text.

Flow: a request → the receiver's ``Authentication`` → a handler in ``pages/`` → :class:`gatepost.console.desk.Desk`
renders its template → a response with its security headers.
"""
