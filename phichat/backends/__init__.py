"""Everything that depends on where it happens, behind one interface."""
