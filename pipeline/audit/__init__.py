"""How any FITS file of MUSE was made, as far as its own headers, its bytes and the store can tell.

`cards` reads headers with their comments; `claims` reads out of them what they say of recipes, inputs and
parameters; `facts` holds what is known of recipes as tables; `remarks` finds contradictions; `evidence` reads
the bytes; `places` looks for inputs in the store and in folders; `findings` puts it together; `settings`
writes a `clio.toml` that would make it again.
"""
