"""Plugins that are broken as plugins: each has a module here and is installed as a package of its own."""
