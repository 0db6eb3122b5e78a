"""The methods: one file each, found by the registry; nothing here is imported by name from the harness."""
