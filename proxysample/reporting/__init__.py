"""What was kept and dropped, as text and as a page."""
