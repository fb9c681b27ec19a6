"""Recipes of our own: steps whose program is Python here and not a recipe of ESO's in an image.

Such a step is an action like any other. In place of the image stands its *environment*: the digest over the
exact versions of Python and of the libraries that compute (`environment`). It runs in a process of its own
with nothing inherited, shut in by bubblewrap (`engine`); inside, `program` reads the set
of frames, calls the recipe and writes what esorex would: products, their list, and a log.

To add one: a row in `pipeline.recipes`, one in `own.table`, a function that takes a `Call`.
"""
