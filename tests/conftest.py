# Plugins, because what is defined here is known to the files alone that are collected at first.
pytest_plugins = ["tests.world", "tests.fixtures"]  # the first may monkey-patch
