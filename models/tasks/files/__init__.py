"""Reading files of users: pairs of text and tables of numbers, with bounded memory."""
