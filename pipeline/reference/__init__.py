"""Alignment of exposures with a reference image: where a field lies, how it is turned, how bright it is.

`image` reads images, `match` finds the place of one in another, `fit` measures it to a fraction of a pixel,
`flux` compares brightness, `measure` puts these together for an exposure and judges whether to believe them;
all pure functions of arrays. `offsets` is the list that ESO's recipes read, `sheet` the table a person edits,
`recipe` the two recipes of our own that `pipeline.own` runs.
"""
