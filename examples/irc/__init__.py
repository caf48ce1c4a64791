"""A chat server for IRC clients: ``python -m examples.irc --help``."""
