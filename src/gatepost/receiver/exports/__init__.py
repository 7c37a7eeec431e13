"""Files to take away: CSV, XLSX, JSON lines, and a ZIP with the images.

``columns``     the columns of records and alarms
``attendance``  attendance, a row a shift
``month``       attendance, a column a day
``inside``      who is inside
``marks``       words for marks of shifts
``formats``     write rows as CSV, XLSX, JSON lines or ZIP
``zip_stream``  write a ZIP while it is sent

Rules:

* Memory does not grow with the number of rows: a page is read, written, sent and forgotten. What a format wants to
  have in one piece (a workbook, the directory of an archive) stands in a temporary file.
* Each page is its own short reading of the store, and the next one begins behind the last row of the one before. So
  an export neither holds up the writer nor skips or repeats a row.
* A cell that a spreadsheet would calculate is made harmless. What a terminal calls a person is no formula.
* Words and headers are in the language that was asked for, times in the zone that was asked for or else in each
  terminal's own. Each time says its offset from UTC: in a workbook, whose dates have no zone, in a column of its own.
* JSON lines are for programs: they are the items of the API, with the same offsets.

Flow: pages of rows → :mod:`~gatepost.receiver.exports.columns` (cells) → :mod:`~gatepost.receiver.exports.formats`
(pieces of a file) → the response.
"""
