"""Data sets that are drawn: shapes, classes, motions, actions."""
