"""Everything around training: data loading."""
