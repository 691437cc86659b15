"""Operations that ``vmap`` has no rule for, or a wrong one, as others that it has."""
