"""What learns: one policy a file, each registered as a plugin of its own."""
