"""A receipt in other people's formats (docs/spec/views.md). Pure: bytes in, bytes out."""
