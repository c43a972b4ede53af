"""What people read. Evidence is folded into one ``Assessment`` (assess.py, pure), a document turns
that into strings (documents/), and templates lay the strings out. Nothing here opens a connection,
and nothing here asks what time it is: dates come from the evidence."""
