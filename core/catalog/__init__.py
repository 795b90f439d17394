"""What holds a domain's items: the types of their fields, columns in memory, and an index of their vectors."""
