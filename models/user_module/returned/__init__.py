"""What the user's function may return, in whichever form, and what is trained from it."""
