"""Words for a paper from a product's lineage alone: methods, tables, references, Phase 3 keywords.

`facts` reads a lineage into a value; `words`, `tables`, `bibliography` and `phase3` make something of that
value and of nothing else. What the lineage does not tell is said to be unknown, and never guessed.
"""
