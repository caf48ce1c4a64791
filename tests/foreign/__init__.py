"""Judges we did not write: other people's tests, with greensock in place of ``socketserver``."""
