"""The concurrency models, a file each. They know no server class."""
