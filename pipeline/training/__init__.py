"""Everything that makes weights or settings: the zoo, hardened and aligned surrogates, heads."""
