"""Where Worlds come from: files (manifests, for the controller), published (what a controller published, for all)."""
