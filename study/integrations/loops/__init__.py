"""Training loops of other programs, watched from inside: runs that are recorded, callbacks for trainers."""
