"""CSU SMS Hub."""
