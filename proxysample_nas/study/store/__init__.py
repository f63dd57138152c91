"""What has ended, and who is at what: one SQLite file."""
