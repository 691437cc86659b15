"""What a study found, in every form in which people read it."""
