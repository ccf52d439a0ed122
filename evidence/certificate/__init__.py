"""Certificates: a verification report as a document that a judge can read, with the receipts attached.

`build` turns receipts, trust file and reports into a `model.Document`, without I/O. `html`, `pdf` and
`signing` are the edge; their libraries come with the extra `certificate` and are imported when used.
A certificate proves nothing by itself: it is the readable form of the receipts that it carries.
"""
