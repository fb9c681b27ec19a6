"""A lineage in the words of others: W3C PROV, the IVOA's data model, a Provenance Run Crate, drawings.

`graph.py` reads the store into one value; each form is a pure function of that value, in a file of its own.
The same graph gives the same bytes: no clock, no host, no path, everything in a stated order. Nothing is read
back from these forms: the store's own records are the truth.
"""
