"""The plugins that ship with Tastemaker; each is found by entry point, like anyone else's."""
