"""YAML text to model values, with diagnostics a person can act on. Pure: bytes in, values out.

Reading order: diagnostic, codes, document (bytes to documents), scalar, block (the fast parser), compose (libyaml, with
positions), schema (how fields are read), kinds and the files it names (one table a kind), parse (one document), check
(rules over all objects), reader (the way in: `Reader`).
"""
