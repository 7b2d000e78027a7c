"""Floor 4: the only room with napari and Qt."""
