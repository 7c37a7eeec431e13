"""The pages, one file each: what it asks the store, and the values of its template."""
