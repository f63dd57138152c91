"""Time a little of each kind of experiment, to foretell how long all of it takes here."""
