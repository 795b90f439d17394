"""One file per version of the schema, named after its revision; what is released is never changed."""
