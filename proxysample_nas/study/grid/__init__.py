"""What a study compares, and which experiments that needs."""
