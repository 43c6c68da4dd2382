"""What runs leave behind: published numbers, one record a run, weights."""
