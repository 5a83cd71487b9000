"""Analyses beyond accuracy, one a file. ``evaluation.measures`` lists them."""
