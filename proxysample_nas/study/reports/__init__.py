"""Reports of a study, from its store alone: tables, figures, one page."""
