"""Functions of other people's modules, replaced and put back."""
