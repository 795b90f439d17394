"""What comes in and what goes out, for validation and for the OpenAPI document: a module for each router."""
