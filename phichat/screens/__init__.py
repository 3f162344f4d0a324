"""The screens of the application, a folder each, and here what they share."""
