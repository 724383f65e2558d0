"""Services to copy, and the demonstration that drives them."""
