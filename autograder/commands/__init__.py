"""What each command does: a function a command, which gets its options and returns the status."""
