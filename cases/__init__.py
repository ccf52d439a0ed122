"""Cases: the lifecycle and all that follows from it (docs/lifecycle.md)."""
