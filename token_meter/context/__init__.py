"""What the context of a call says: which meters, handlers and limits are open where it starts."""
