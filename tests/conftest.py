"""Puts this folder on the path of imports, so that every test finds `builders` and `fakes`."""
