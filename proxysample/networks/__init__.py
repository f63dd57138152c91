"""Networks that samplers train or borrow, and how they are fed."""
