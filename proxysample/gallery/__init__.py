"""Pictures of what is kept and dropped: thumbnails, contact sheets, and a page of them."""
