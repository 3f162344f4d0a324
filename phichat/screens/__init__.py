"""The screens of the application, one file each, and the widgets that they share."""
