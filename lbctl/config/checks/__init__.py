"""Rules over all objects together, one module a subject; `lbctl.config.check` has the table of them."""
