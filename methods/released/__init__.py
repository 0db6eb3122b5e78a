"""What released code does differently from its paper: ``faithful_to="release"`` of a method takes these."""
