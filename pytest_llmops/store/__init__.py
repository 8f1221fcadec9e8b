"""Store objects and refs under their digests."""
