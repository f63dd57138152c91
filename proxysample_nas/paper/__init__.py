"""The paper that this library began with: its own numbers, and when they may stand beside ours."""
