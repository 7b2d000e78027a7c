"""Floor 4: the robot user, its metrics and reports. No napari, no Qt."""
